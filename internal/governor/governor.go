// Package governor bounds how fast long jobs work on Firestore's documents.
//
// By default it follows the ramp that Firestore asks for when traffic begins or
// grows, "500/50/5": 500 operations a second to a new collection, and 50 % more
// after every 5 minutes
// (https://cloud.google.com/firestore/docs/best-practices#ramping_up_traffic).
// What counts is traffic that was there: a period of 5 minutes that did not use what
// it was allowed is followed by one that is allowed half more than was used, and by
// one at the foot of the ramp if nothing was.
//
// A governor is for all jobs of a process, one after the other and at the same time.
// Its Pace says where it is, so that another process may go on from there. Ordinary
// traffic does not go through one.
package governor

import (
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The ramp.
const (
	rampStart  = 500 // documents a second
	rampGrowth = 1.5
	rampEvery  = 5 * time.Minute
	// rampUsed is the share of what was allowed from which on all of it counts as
	// used: a job begins within a period, and waits for answers.
	rampUsed = 0.9
)

// Pace is where a governor is.
type Pace struct {
	PerSecond float64       // documents a second that it allows
	Done      int64         // documents in the period under way
	Elapsed   time.Duration // of that period
}

// Governor bounds the jobs of a process together. It is safe for concurrent use.
type Governor struct {
	rate    Rate
	limiter *rate.Limiter

	mu     sync.Mutex
	second float64   // documents a second that are allowed
	done   int64     // in the period under way
	began  time.Time // of that period
}

// New returns a governor that begins now.
func New(r Rate) *Governor { return Resume(r, Pace{}, 0) }

// Resume returns a governor that goes on from a pace which another one had so long
// ago. A fixed rate has no memory.
func Resume(r Rate, p Pace, ago time.Duration) *Governor {
	g := &Governor{rate: r, second: r.Foot(), began: time.Now()}
	if ago = max(0, ago); r == Ramp && p.PerSecond > rampStart && p.PerSecond < math.MaxInt32 {
		g.second, g.done, g.began = p.PerSecond, p.Done, g.began.Add(-p.Elapsed-ago)
	}
	second := g.PerSecond()
	g.limiter = rate.NewLimiter(rate.Limit(second), burst(second))
	return g
}

// burst is what may be worked on at once after a pause.
func burst(second float64) int { return int(min(max(1, second), math.MaxInt32)) }

// PerSecond returns how many documents a second are allowed now.
func (g *Governor) PerSecond() float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.advanceLocked()
	return g.second
}

// Pace returns where the governor is.
func (g *Governor) Pace() Pace {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.advanceLocked()
	return Pace{g.second, g.done, time.Since(g.began)}
}

// advanceLocked ends the periods that have passed.
func (g *Governor) advanceLocked() {
	if g.rate != Ramp {
		return
	}
	for now := time.Now(); now.Sub(g.began) >= rampEvery; {
		if g.done == 0 && g.second == rampStart {
			g.began = now
			return
		}
		g.second, g.done, g.began = next(g.second, g.done), 0, g.began.Add(rampEvery)
	}
}

// next returns how many documents a second are allowed after a period that was
// allowed second, and worked on done.
func next(second float64, done int64) float64 {
	used := float64(done) / rampEvery.Seconds()
	if used >= rampUsed*second {
		used = second
	}
	return max(rampStart, used*rampGrowth)
}

// Chunk returns how many documents to work on at once: what a second allows, at most
// most.
func (g *Governor) Chunk(most int) int {
	second := g.PerSecond()
	if second >= float64(most) {
		return most
	}
	return max(1, int(second))
}

// Wait waits until n more documents may be worked on. Waiters are served in the order
// in which they come. The error is that of ctx.
func (g *Governor) Wait(ctx context.Context, n int) error {
	for n > 0 {
		second := g.PerSecond()
		step := n
		if !math.IsInf(second, 1) {
			g.limiter.SetLimit(rate.Limit(second))
			g.limiter.SetBurst(burst(second))
			step = min(n, burst(second))
			if err := g.limiter.WaitN(ctx, step); err != nil {
				if ctx.Err() == nil {
					<-ctx.Done() // the limiter says early that the deadline is too near
				}
				return ctx.Err()
			}
		}
		g.mu.Lock()
		g.done += int64(step)
		g.mu.Unlock()
		n -= step
	}
	return ctx.Err()
}
