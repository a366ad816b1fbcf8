package verifier

import (
	"context"

	"github.com/northstar-engines/realtime-registry/registry"
)

// Reverify is Verify for an open stream whose Watch has been closed. There is no
// MissGrace. If many streams are verified again at once, because a large tenant has
// moved, they wait for each other until ctx ends, so that other checks are not
// shed: they take at most a tenth of MaxWaiting.
func (v *Verifier) Reverify(ctx context.Context, tenantID string, resource registry.Resource) error {
	owned, why := v.fromMemory(tenantID, resource)
	if owned {
		return nil
	}
	return v.verify(ctx, tenantID, resource, why, v.readInTurn)
}

// readInTurn reads once its turn has come.
func (v *Verifier) readInTurn(ctx context.Context, _ string, resource registry.Resource, _ *check) (sighting, error) {
	select {
	case v.turns <- struct{}{}:
	case <-ctx.Done():
		return sighting{}, unavailable(context.Cause(ctx))
	}
	defer func() { <-v.turns }()
	return v.reader.read(ctx, resource)
}

// turns returns how many streams may be verified again at once.
func (o Options) turns() int { return max(1, o.MaxWaiting/10) }

// lists returns how many lists of Watchers may be read at once.
func (o Options) lists() int { return max(1, o.MaxReads/4) }
