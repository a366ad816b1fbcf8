package erasure

import (
	"context"
	"errors"

	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// page is how many documents are read, and written, at once.
const page = 250

// documents takes the tenant out of the documents that it owns, or had. Some may have
// the other name by now, and still be there: others have written them meanwhile.
func (e Eraser) documents(ctx context.Context, f ownership.Forget, r *Report) error {
	tenants := []string{f.Tenant, f.Pseudonym}
	total, err := e.Store.CountAffected(ctx, tenants)
	if err != nil {
		return err
	}
	e.tell(Documents, 0, total)
	pace := governor.New(e.Rate)
	var left error
	done := int64(0)
	for after, more := "", true; more; {
		var records []ownership.Record
		records, more, err = e.Store.Affected(ctx, ownership.Page{Tenants: tenants, After: after, Limit: pace.Chunk(page)})
		if err != nil {
			return err
		}
		if len(records) == 0 {
			break
		}
		after = records[len(records)-1].Document
		if err := pace.Wait(ctx, len(records)); err != nil {
			return err
		}
		forgotten, err := e.Store.Forget(ctx, records, f)
		r.Documents += forgotten.Written
		r.Deleted += forgotten.Deleted
		if err != nil {
			if !errors.Is(err, registry.ErrTooNew) {
				return err
			}
			left = err
		}
		done += int64(len(records))
		e.tell(Documents, done, total)
	}
	return left
}
