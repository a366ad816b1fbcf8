package governor

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
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

// Foot returns how many documents a second are allowed at the beginning: infinitely
// many if the rate is unlimited.
func (r Rate) Foot() float64 {
	if r == Ramp {
		return rampStart
	}
	return r.perSecond
}

// Duration returns how long n documents take at least from the beginning. An
// unlimited rate takes no time.
func (r Rate) Duration(n int64) time.Duration { return r.DurationFrom(Pace{}, math.Inf(1), n) }

// DurationFrom returns how long n documents take at least for a governor that goes on
// from a pace, and a worker that does most documents a second.
func (r Rate) DurationFrom(p Pace, most float64, n int64) time.Duration {
	allowed, step := r.Foot(), rampEvery
	if r == Ramp && p.PerSecond > rampStart {
		allowed, step = p.PerSecond, max(0, rampEvery-p.Elapsed)
	}
	left, took := float64(n), time.Duration(0)
	for r == Ramp && allowed < most {
		worked := allowed * step.Seconds()
		if left <= worked {
			break
		}
		left, took = left-worked, took+step
		allowed, step = allowed*rampGrowth, rampEvery
	}
	return took + time.Duration(left/min(allowed, most)*float64(time.Second))
}
