package regstore

import (
	"context"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// MovesNamed returns those of the named moves that exist, in the order of the names,
// with the state of their rewriting, read now: a read each.
func (s *Store) MovesNamed(ctx context.Context, names []ownership.EventName) (_ []ownership.LedgerEntry, err error) {
	ctx, done := s.telemetry.start(ctx, "moves", len(names))
	defer func() { done(err) }()
	documents := make([]string, len(names))
	for i, name := range names {
		documents[i] = s.ledgerName(name)
	}
	found, _, err := s.get(ctx, documents)
	if err != nil {
		return nil, err
	}
	var moves []ownership.LedgerEntry
	for _, name := range documents {
		if d := found[name]; d != nil {
			moves = append(moves, s.decodeLedgerEntry(ctx, d))
		}
	}
	return moves, nil
}

// PendingMoves returns the moves whose rewriting has not ended, parked ones too, in
// the order in which they are rewritten, at most limit. It costs a read each, and
// one if there is none.
func (s *Store) PendingMoves(ctx context.Context, limit int) (_ []ownership.LedgerEntry, err error) {
	ctx, done := s.telemetry.start(ctx, "moves", 0)
	defer func() { done(err) }()
	documents, err := s.queryLedger(ctx, fieldPending, 0, limit, time.Time{})
	if err != nil {
		return nil, unavailable("read the ledger", err)
	}
	moves := make([]ownership.LedgerEntry, len(documents))
	for i, d := range documents {
		moves[i] = s.decodeLedgerEntry(ctx, d)
	}
	return moves, nil
}
