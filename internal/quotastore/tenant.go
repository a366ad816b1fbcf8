package quotastore

import (
	"context"
	"errors"
	"path"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// TenantActions returns the actions of a tenant that have a window, which may have
// ended, in the order of their bytes: at most limit, and whether there may be more.
// It costs a read for each document that it looks at, at most limit of them, and one
// if there is none. Errors: limits.ErrInvalid, quota.ErrUnavailable.
func (s *Store) TenantActions(ctx context.Context, tenant string, limit int) (actions []string, more bool, err error) {
	if err := (limits.Key{Tenant: tenant, Action: limits.TotalAction}).Validate(); err != nil {
		return nil, false, err
	}
	looked := 0
	// Between the two names are those of other tenants too: t_a__b is one.
	err = s.db.Query(ctx, docdb.Query{
		Collection: Collection,
		After:      s.db.Name(Collection, tenant+"__"),
		UpTo:       s.db.Name(Collection, tenant+"__{"), // behind every letter that an action has
		Limit:      limit,
		Select:     []string{"last_reset"},
	}, func(d *docdb.Document) error {
		looked++
		key, err := limits.ParseDocumentID(path.Base(d.Name))
		switch {
		case errors.Is(err, limits.ErrInvalid): // a part of a window
		case key.Tenant == tenant:
			actions = append(actions, key.Action)
		}
		return nil
	})
	if err != nil {
		return nil, false, unavailable(err)
	}
	return actions, looked == limit, nil
}
