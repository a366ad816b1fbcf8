// Package governor bounds how fast a long job works on Firestore's documents.
//
// By default it follows the ramp that Firestore asks for when traffic begins or
// grows ("500/50/5", Google's best practices): 500 operations a second, and 50 %
// more after every 5 minutes. Each governor begins at the foot of the ramp.
// Ordinary traffic does not go through one.
package governor

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// The ramp.
const (
	rampStart  = 500 // documents a second
	rampGrowth = 1.5
	rampEvery  = 5 * time.Minute
)

// Rate says how fast: Ramp, Unlimited, or a number of documents a second. The
// zero Rate is Ramp.
type Rate struct{ perSecond float64 }

// The rates that have names.
var (
	Ramp      = Rate{}
	Unlimited = Rate{math.Inf(1)} // for emulators
)

// Parse reads a rate as flags have it: ramp, unlimited, or documents a second.
func Parse(s string) (Rate, error) {
	switch strings.ToLower(s) {
	case "ramp":
		return Ramp, nil
	case "unlimited":
		return Unlimited, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 1_000_000 {
		return Ramp, errors.New("want ramp, unlimited, or documents a second from 1 to 1000000")
	}
	return Rate{float64(n)}, nil
}

// String is the inverse of Parse.
func (r Rate) String() string {
	switch r {
	case Ramp:
		return "ramp"
	case Unlimited:
		return "unlimited"
	}
	return strconv.Itoa(int(r.perSecond))
}

// at is how many documents a second are allowed so long after the beginning.
func (r Rate) at(elapsed time.Duration) float64 {
	if r != Ramp {
		return r.perSecond
	}
	return rampStart * math.Pow(rampGrowth, float64(elapsed/rampEvery))
}

// Duration is how long n documents take at least. An unlimited rate takes no
// time.
func (r Rate) Duration(n int64) time.Duration {
	left, took := float64(n), time.Duration(0)
	for r == Ramp {
		step := r.at(took) * rampEvery.Seconds()
		if left <= step {
			break
		}
		left, took = left-step, took+rampEvery
	}
	return took + time.Duration(left/r.at(took)*float64(time.Second))
}

// Governor bounds one job. It is safe for concurrent use.
type Governor struct {
	rate    Rate
	limiter *rate.Limiter
	began   time.Time
}

// New returns a governor that begins now.
func New(r Rate) *Governor {
	g := &Governor{rate: r, began: time.Now()}
	g.limiter = rate.NewLimiter(rate.Limit(r.at(0)), g.Chunk(math.MaxInt))
	return g
}

// Chunk is how many documents to work on at once: what a second allows, at most
// most.
func (g *Governor) Chunk(most int) int {
	second := g.rate.at(time.Since(g.began))
	if second >= float64(most) {
		return most
	}
	return max(1, int(second))
}

// Wait waits until n more documents may be worked on. The error is that of ctx.
func (g *Governor) Wait(ctx context.Context, n int) error {
	if g.rate == Unlimited {
		return ctx.Err()
	}
	for n > 0 {
		second := g.rate.at(time.Since(g.began))
		g.limiter.SetLimit(rate.Limit(second))
		g.limiter.SetBurst(max(1, int(second)))
		step := min(n, max(1, int(second)))
		if err := g.limiter.WaitN(ctx, step); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			<-ctx.Done() // the limiter says early that the deadline is too near
			return ctx.Err()
		}
		n -= step
	}
	return nil
}
