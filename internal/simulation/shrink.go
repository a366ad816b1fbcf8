package simulation

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// Shrink leaves out of a plan that fails what it can, for as long as it may, and
// returns the failure of what is left, with its steps. A plan from which something
// is left out is tried with other schedules too: then everything happens at other
// moments.
func Shrink(t *testing.T, failure *Failure, most time.Duration) *Failure {
	x := &shrinking{t: t, smallest: failure, until: time.Now().Add(most)}
	for smaller := true; smaller && x.mayGoOn(); {
		smaller = x.leaveOut(x.parts())
		smaller = x.endEarlier() || smaller
	}
	for range tries { // it may be for timers of one moment to say
		var steps []string
		traced := x.smallest.Plan
		traced.Trace = func(step string) { steps = append(steps, step) }
		if f := x.run(traced); f != nil {
			f.steps = steps
			return f
		}
	}
	return x.smallest
}

// tries is how many schedules a smaller plan gets.
const tries = 20

type shrinking struct {
	t        *testing.T
	smallest *Failure
	until    time.Time
}

func (x *shrinking) mayGoOn() bool { return time.Now().Before(x.until) }

func (x *shrinking) run(p Plan) *Failure {
	_, err := Run(x.t, p)
	var failure *Failure
	if errors.As(err, &failure) {
		return failure
	}
	return nil
}

// fails reports whether a plan fails by one of some schedules; it is the smallest
// then.
func (x *shrinking) fails(p Plan) bool {
	schedule := p.Schedule
	for n := range uint64(tries) {
		if n > 0 {
			p.Schedule = schedule + n
		}
		if !x.mayGoOn() {
			return false
		}
		if f := x.run(p); f != nil {
			x.smallest = f
			return true
		}
	}
	return false
}

// parts are those that the smallest plan still has.
func (x *shrinking) parts() []string {
	s := newSimulation(x.smallest.Plan)
	parts := append(slices.Clone(leavable), s.world.parts()...)
	return slices.DeleteFunc(parts, x.smallest.Plan.without)
}

// leaveOut leaves out half of the parts, a quarter, and so on, down to one by one.
func (x *shrinking) leaveOut(parts []string) (smaller bool) {
	for size := max(1, len(parts)/2); ; size /= 2 {
		for from := 0; from < len(parts) && x.mayGoOn(); {
			chunk := parts[from:min(len(parts), from+size)]
			p := x.smallest.Plan
			p.Without = slices.Concat(p.Without, chunk)
			if x.fails(p) {
				parts, smaller = slices.Delete(slices.Clone(parts), from, from+len(chunk)), true
			} else {
				from += size
			}
		}
		if size <= 1 {
			return smaller
		}
	}
}

// endEarlier lets trouble end after half the steps, as often as that fails.
func (x *shrinking) endEarlier() (smaller bool) {
	for x.mayGoOn() {
		p := x.smallest.Plan
		if p.Steps == 0 {
			p.Steps = 2 * mostChaos
		}
		if p.Steps /= 2; p.Steps < 10 || !x.fails(p) {
			return smaller
		}
		smaller = true
	}
	return smaller
}
