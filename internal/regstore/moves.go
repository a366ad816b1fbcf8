package regstore

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

var _ ownership.LedgerReader = (*Store)(nil)

// Moves implements ownership.Store.
func (s *Store) Moves(ctx context.Context) (entries []ownership.LedgerEntry, err error) {
	err = s.EachMove(ctx, time.Time{}, func(e ownership.LedgerEntry) error { entries = append(entries, e); return nil })
	slices.SortFunc(entries, func(a, b ownership.LedgerEntry) int { return a.Version.Compare(b.Version) })
	return entries, err
}

// EachMove implements ownership.LedgerReader. A query as of a time that breaks off is
// taken up where it was, if it has brought anything.
func (s *Store) EachMove(ctx context.Context, at time.Time, visit func(ownership.LedgerEntry) error) (err error) {
	ctx, done := s.telemetry.start(ctx, "moves", 0)
	defer func() { done(err) }()
	var last *docdb.Document
	var ended error
	query := s.ledgerQuery(fieldSeq, 0, 0, at)
	for {
		before := last
		err = s.query(ctx, query, func(d *docdb.Document) error {
			if s.isFence(d) || last != nil && d.Name == last.Name {
				return nil
			}
			last, ended = d, visit(s.decodeLedgerEntry(ctx, d))
			return ended
		})
		if err == nil || ended != nil {
			return err
		}
		if at.IsZero() || last == before || ctx.Err() != nil {
			return unavailable("read the ledger", err)
		}
		query = s.ledgerQuery(fieldSeq, last.Fields[fieldSeq].GetIntegerValue()-1, 0, at)
	}
}

// MovesNamed implements ownership.LedgerReader.
func (s *Store) MovesNamed(ctx context.Context, names []ownership.EventName) (entries []ownership.LedgerEntry, err error) {
	ctx, done := s.telemetry.start(ctx, "moves", len(names))
	defer func() { done(err) }()
	for part := range slices.Chunk(names, docdb.MaxReads) {
		documents := make([]string, len(part))
		for i, name := range part {
			documents[i] = s.ledgerName(name)
		}
		found, _, err := s.get(ctx, documents)
		if err != nil {
			return nil, err
		}
		for i, name := range documents {
			d := found[name]
			if d == nil {
				continue
			}
			e := s.decodeLedgerEntry(ctx, d)
			e.Source, e.ID = part[i].Source, part[i].ID // also of one that is not understood
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// MovesBetween implements ownership.LedgerReader.
func (s *Store) MovesBetween(ctx context.Context, after, upTo int64) (entries []ownership.LedgerEntry, err error) {
	ctx, done := s.telemetry.start(ctx, "moves", 0)
	defer func() { done(err) }()
	documents, err := s.queryLedger(ctx, fieldSeq, after, max(0, int(upTo-after))+1, time.Time{}) // the fence may be among them
	if err != nil {
		return nil, unavailable("read the ledger", err)
	}
	for _, d := range documents {
		if !s.isFence(d) && d.Fields[fieldSeq].GetIntegerValue() <= upTo {
			entries = append(entries, s.decodeLedgerEntry(ctx, d))
		}
	}
	return entries, nil
}

// PendingMoves implements ownership.LedgerReader.
func (s *Store) PendingMoves(ctx context.Context, after int64, limit int) ([]ownership.LedgerEntry, error) {
	return s.movesWithJobs(ctx, s.ledgerQuery(fieldPending, after, limit, time.Time{}))
}

// ParkedMoves implements ownership.LedgerReader.
func (s *Store) ParkedMoves(ctx context.Context, before int64, limit int) ([]ownership.LedgerEntry, error) {
	after := int64(math.MinInt64)
	if before > 0 {
		after = -before
	}
	query := s.ledgerQuery(fieldPending, after, limit, time.Time{})
	query.All = []docdb.Filter{{Field: fieldPending, Op: docdb.Less, Value: docdb.Integer(0)}}
	return s.movesWithJobs(ctx, query)
}

// movesWithJobs returns the entries that a query by the pending field finds, without
// those that are not understood: it goes on until there are as many as its limit.
func (s *Store) movesWithJobs(ctx context.Context, query docdb.Query) (entries []ownership.LedgerEntry, err error) {
	ctx, done := s.telemetry.start(ctx, "moves", 0)
	defer func() { done(err) }()
	for limit := query.Limit; ; query.Limit = limit - len(entries) {
		found := 0
		err = s.query(ctx, query, func(d *docdb.Document) error {
			found++
			query.Any = []docdb.Filter{{Field: fieldPending, Op: docdb.Greater, Value: d.Fields[fieldPending]}}
			if e := s.decodeLedgerEntry(ctx, d); e.Unread == nil {
				entries = append(entries, e)
			}
			return nil
		})
		if err != nil {
			return nil, unavailable("read the ledger", err)
		}
		if found < query.Limit || len(entries) == limit {
			return entries, nil
		}
	}
}
