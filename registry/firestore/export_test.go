package firestore

import (
	"context"

	"github.com/northstar-engines/realtime-registry/registry"
)

// WaitingForTheLedger is how many changes wait for the ledger's lane.
func (s *Store) WaitingForTheLedger() int {
	s.lane.mu.Lock()
	defer s.lane.mu.Unlock()
	return len(s.lane.waiting)
}

// MakeHead makes the ledger's head, as the first write does.
func (s *Store) MakeHead(ctx context.Context) error { return s.mayWrite(ctx) }

// ChangeLedger makes changes of the ledger, whatever they are.
func (s *Store) ChangeLedger(ctx context.Context, changes []registry.LedgerChange) []registry.Outcome {
	return s.lane.change(ctx, changes)
}
