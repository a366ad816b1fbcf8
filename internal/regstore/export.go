package regstore

import (
	"context"
	"errors"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Export implements ownership.Store: one query over the whole collection, as of
// the time at which the ledger was read.
func (s *Store) Export(ctx context.Context, visit func(ownership.Record, *ownership.Ledger) error) error {
	start, err := s.AsOf(ctx, time.Time{})
	if err != nil {
		return err
	}
	return s.Range(ctx, start, "", "", 0, func(r ownership.Record) error { return visit(r, start.Ledger) })
}

// AsOf returns the ledger as of a time; of now for the zero time.
func (s *Store) AsOf(ctx context.Context, at time.Time) (ownership.Snapshot, error) {
	if at.IsZero() {
		return s.Read(ctx, nil)
	}
	head, err := s.documentAt(ctx, headID, at)
	if err != nil {
		return ownership.Snapshot{}, err
	}
	ledger, err := s.load(ctx, at, s.pointOf(head))
	if err != nil {
		return ownership.Snapshot{}, err
	}
	return ownership.Snapshot{Ledger: ledger, ReadTime: at}, nil
}

// Range visits the documents behind a name, up to another one ("": to the last),
// in the order of names, as of a snapshot's time: at most limit of them, unless
// that is 0. A query that breaks off is taken up behind the last document that
// arrived. It ends at the first error that visit returns, and returns that.
func (s *Store) Range(ctx context.Context, at ownership.Snapshot, after, upTo string, limit int, visit func(ownership.Record) error) error {
	q := docdb.Query{Collection: Collection, At: at.ReadTime, Limit: limit}
	if after != "" {
		q.After = s.db.Name(Collection, after)
	}
	if upTo != "" {
		q.UpTo = s.db.Name(Collection, upTo)
	}
	for failures := 0; ; {
		before := q.After
		err := s.query(ctx, q, func(d *docdb.Document) error {
			if err := visit(s.decode(ctx, d)); err != nil {
				return err
			}
			q.After = d.Name
			return nil
		})
		if err == nil || !errors.Is(err, registry.ErrUnavailable) || limit > 0 {
			return err
		}
		if q.After != before {
			failures = 0
		}
		if failures++; failures > 3 || ctx.Err() != nil {
			return err
		}
	}
}

// Documents counts the documents of resources; one read is billed for up to 1,000.
func (s *Store) Documents(ctx context.Context) (int64, error) {
	return s.count(ctx, docdb.Query{Collection: Collection})
}

// HasDocuments reports whether the registry has any, which is a read at most.
func (s *Store) HasDocuments(ctx context.Context) (found bool, err error) {
	err = s.query(ctx, docdb.Query{Collection: Collection, Limit: 1, Select: []string{fieldFormat}}, func(*docdb.Document) error {
		found = true
		return nil
	})
	return found, err
}

// Recovers reports whether the registry can be read as of any whole minute of the
// last seven days, and not of the last hour alone.
func (s *Store) Recovers(ctx context.Context) (bool, error) {
	recovers, err := s.db.Recovers(ctx)
	if err != nil {
		return false, unavailable("look at the database's settings", err)
	}
	return recovers, nil
}
