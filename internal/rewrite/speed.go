package rewrite

import (
	"context"
	"math"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/governor"
)

// Speed is how fast documents are rewritten, by what the worker that was last at it
// has stored. What plans and lists promise is reckoned from it.
type Speed struct {
	Rate governor.Rate
	Pace governor.Pace // that a worker goes on from
	// Had is how many documents a second a worker had while there was enough to do
	// for all of it, and At when; zero if it was not measured.
	Had float64
	At  time.Time
	// Governed says that it could have done more than it was allowed: how much is
	// not known.
	Governed bool
}

// Speed returns how fast documents are rewritten, for a worker that runs at the
// planner's rate, at a time by the store's clock. It costs one read.
func (p Planner) Speed(ctx context.Context, now time.Time) (Speed, error) {
	lease, err := p.Store.Lease(ctx)
	if err != nil {
		return Speed{}, err
	}
	at := lease.Pace
	pace := governor.Pace{PerSecond: at.PerSecond, Done: at.Done, Elapsed: at.Elapsed}
	return Speed{
		Rate: p.Rate, Pace: governor.Resume(p.Rate, pace, now.Sub(lease.Now)).Pace(),
		Had: at.Had, At: at.HadAt, Governed: at.Governed,
	}, nil
}

// Duration returns how long n documents take, at least.
func (s Speed) Duration(n int64) time.Duration {
	most := math.Inf(1)
	if s.Had > 0 && !s.Governed {
		most = s.Had
	}
	return s.Rate.DurationFrom(s.Pace, most, n)
}
