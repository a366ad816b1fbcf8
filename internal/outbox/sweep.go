package outbox

import (
	"context"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// sweep sweeps the outbox whenever it is due, until ctx ends. After a failure it does not
// wait until it is due again: a link that fails for a while each minute may do so at each
// sweep.
func (p *Publisher) sweep(ctx context.Context) {
	after := shortestPause
	for {
		pause := p.o.Every
		if p.sweepOnce(ctx) {
			after = shortestPause
		} else {
			pause, after = min(after, pause), min(2*after, longestPause)
		}
		if !wait(ctx, pause) {
			return
		}
	}
}

// sweepOnce reports whether it did not fail.
func (p *Publisher) sweepOnce(ctx context.Context) bool {
	state, err := p.store.SweepOutbox(ctx, p.o.Holder, func(ctx context.Context, page []ownership.Logged) error {
		_, err := p.publish(ctx, page, bySweep)
		return err
	})
	if !state.At.IsZero() {
		p.state.Store(&state)
	}
	if err != nil && ctx.Err() == nil {
		p.o.Logger.DebugContext(ctx, "the outbox was not swept", "error", err)
	}
	return err == nil
}
