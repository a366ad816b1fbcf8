package regstore

import (
	"context"
	"errors"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
)

// query visits what a query finds. It ends at the first error that visit returns,
// and returns that; others wrap registry.ErrUnavailable.
func (s *Store) query(ctx context.Context, q docdb.Query, visit func(*docdb.Document) error) error {
	var ended error
	err := s.db.Query(ctx, q, func(d *docdb.Document) error {
		ended = visit(d)
		return ended
	})
	if err == nil || errors.Is(err, ended) {
		return ended
	}
	return unavailable("query", err)
}

// resources queries documents of resources in the order of their names, behind
// the one whose full name is given.
func resources(after string, any ...docdb.Filter) docdb.Query {
	return docdb.Query{Collection: Collection, Any: any, After: after}
}

// affected are the filters for documents with one of the tenants on their path,
// or, if a plain set left no path or a wrong one, in their tenant_id. Each
// document is found, and billed, once.
func affected(tenants []string) (any []docdb.Filter) {
	for _, t := range tenants {
		any = append(any,
			docdb.Filter{Field: fieldPath, Op: docdb.Contains, Value: docdb.Text(t)},
			docdb.Filter{Field: fieldTenantID, Op: docdb.Equal, Value: docdb.Text(t)})
	}
	return any
}

// count counts the documents that a query finds.
func (s *Store) count(ctx context.Context, q docdb.Query) (int64, error) {
	n, err := s.db.Count(ctx, q)
	if err != nil {
		return 0, unavailable("count documents", err)
	}
	return n, nil
}
