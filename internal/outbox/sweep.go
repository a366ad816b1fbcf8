package outbox

import (
	"context"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// sweep sweeps the outbox whenever it is due, until ctx ends. After a failure it does not
// wait until it is due again: a link that fails for a while each minute may do so at each
// sweep. Nor does it if another process sweeps, which may not reach the topic at all: who
// has not failed looks again soon, and so comes before who has.
func (p *Publisher) sweep(ctx context.Context) {
	after := shortestPause
	for {
		pause := p.o.Every
		switch elsewhere, err := p.sweepOnce(ctx); {
		case err != nil:
			pause, after = min(after, pause), min(2*after, longestPause)
		case elsewhere:
			pause = min(after, pause)
		default:
			after = shortestPause
		}
		if !wait(ctx, pause) {
			return
		}
	}
}

// sweepOnce reports whether another process sweeps.
func (p *Publisher) sweepOnce(ctx context.Context) (elsewhere bool, err error) {
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
	return state.Elsewhere, err
}
