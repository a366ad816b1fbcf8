package wire

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A Disturbance befalls some of the calls of a method, or of all methods, for as long
// as it lasts.
type Disturbance struct {
	Method string        // as for [Faults]; empty: every method
	Share  float64       // how many of the calls it befalls, from 0 to 1
	Code   codes.Code    // with which they end; OK: they do not fail
	Late   bool          // they reach the server, and are carried out, before they fail
	Delay  time.Duration // they wait for so long before anything else
	Stall  bool          // streams of the method deliver nothing, to either side, until it is over
}

// Disturb sets the disturbances, in place of those before; without any, all is well
// again. Which calls they befall follows from the seed and the order of calls.
func (f *Faults) Disturb(seed uint64, all ...Disturbance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.random = rand.New(rand.NewPCG(seed, 0))
	f.disturbances, f.disturbed = all, 0
	close(f.calmer)
	f.calmer = make(chan struct{})
}

// Disturbed returns how many calls, and messages of streams, the disturbances have
// befallen since they were set.
func (f *Faults) Disturbed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.disturbed
}

// disturbanceLocked returns what befalls one call.
func (f *Faults) disturbanceLocked(method string) Disturbance {
	for _, d := range f.disturbances {
		if !d.Stall && d.of(method) && f.random.Float64() < d.Share {
			f.disturbed++
			return d
		}
	}
	return Disturbance{}
}

func (d Disturbance) of(method string) bool {
	return d.Method == "" || method == d.Method || strings.HasSuffix(method, "/"+d.Method)
}

// errors returns the error in place of the call, and the one in place of its answer.
func (d Disturbance) errors(method string) (early, late error) {
	switch {
	case d.Code == codes.OK:
		return nil, nil
	case d.Late:
		return nil, status.Errorf(d.Code, "wire: the answer of %s was lost", method)
	}
	return status.Errorf(d.Code, "wire: %s was disturbed", method), nil
}

// stalled waits as long as streams of the method are stalled. The error is that of
// the context.
func (f *Faults) stalled(ctx context.Context, method string) error {
	for waits := false; ; waits = true {
		f.mu.Lock()
		stall, over := false, f.calmer
		for _, d := range f.disturbances {
			stall = stall || d.Stall && d.of(method)
		}
		if stall && !waits {
			f.disturbed++
		}
		f.mu.Unlock()
		if !stall {
			return nil
		}
		select {
		case <-over:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wait returns after the delay, or with the error of the context.
func (d Disturbance) wait(ctx context.Context) error {
	if d.Delay == 0 {
		return nil
	}
	select {
	case <-time.After(d.Delay):
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}
