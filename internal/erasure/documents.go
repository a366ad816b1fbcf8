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

// documents takes the tenant out of the documents that it owns, or had.
func (e Eraser) documents(ctx context.Context, f ownership.Forget, r *Report) error {
	total, err := e.Store.CountAffected(ctx, []string{f.Tenant})
	if err != nil {
		return err
	}
	pace := governor.New(e.Rate)
	var left error
	done := int64(0)
	for after, more := "", true; more; {
		var records []ownership.Record
		records, more, err = e.Store.Affected(ctx, ownership.Page{Tenants: []string{f.Tenant}, After: after, Limit: pace.Chunk(page)})
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
		if err := e.forget(ctx, f, records, r); err != nil {
			if !errors.Is(err, registry.ErrTooNew) {
				return err
			}
			left = err
		}
		done += int64(len(records))
		e.tell("documents", done, total)
	}
	return left
}

func (e Eraser) forget(ctx context.Context, f ownership.Forget, records []ownership.Record, r *Report) error {
	now, err := e.Store.Read(ctx, nil)
	if err != nil {
		return err
	}
	for _, record := range records {
		owner, err := record.Owner(now.Ledger)
		if err == nil && (owner == f.Tenant || owner == f.Pseudonym) {
			r.Deleted++
		}
	}
	n, err := e.Store.Forget(ctx, records, f)
	r.Documents += n
	return err
}
