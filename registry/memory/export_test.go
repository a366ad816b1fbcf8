package memory

import (
	"context"

	"github.com/northstar-engines/realtime-registry/registry"
)

// ChangeLedger makes changes of the ledger, whatever they are.
func (s *Store) ChangeLedger(ctx context.Context, changes []registry.LedgerChange) []registry.Outcome {
	return s.changeLedger(ctx, changes)
}
