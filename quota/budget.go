package quota

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// How often a failing store is asked. A try is what a request needs of the store: a
// read and a write at most.
const (
	// attempts is how many tries in a row may fail before the waiting requests get
	// ErrUnavailable.
	attempts = 3

	// patientRaces is how many races in a row a key may lose before each further
	// one counts as the store's failure: losing means that another process
	// succeeded.
	patientRaces = 3

	// A key whose tries fail may have these many at once, and then so many a
	// second, whatever is asked of it.
	keyTries          = 12 * attempts
	keyTriesPerSecond = 1

	// The same for all keys of a limiter together.
	allTries          = 64
	allTriesPerSecond = 16
)

// errSpared is why a request fails without a try.
var errSpared = errors.New("the store fails, and is not asked again yet")

// tries is a number of tries that grows with time up to a bound.
type tries struct {
	left float64
	at   instant // when left was true
}

// take takes one, or none.
func (t *tries) take(now instant, most, perSecond float64) bool {
	t.grow(now, most, perSecond)
	if t.left < 1 {
		return false
	}
	t.left--
	return true
}

func (t *tries) grow(now instant, most, perSecond float64) {
	t.left = min(most, t.left+time.Duration(now-t.at).Seconds()*perSecond)
	t.at = now
}

// budget bounds what all flights together ask of a store that fails. One that
// does not fail may be asked any number of times: the budget begins with a
// failure and ends with a success. This is what gRPC calls retry throttling
// (gRFC A6), counted in time rather than by successes, so that a store which
// answers nothing is asked at a known rate.
type budget struct {
	logger *slog.Logger

	mu      sync.Mutex
	failing bool
	writes  bool // a write has failed since one succeeded
	spared  bool // tries were refused, and this was logged
	tries   tries
	last    error // of the store
}

// admit takes a try, or returns why there is none.
func (b *budget) admit(now instant) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.failing || b.tries.take(now, allTries, allTriesPerSecond) {
		return nil
	}
	if !b.spared {
		b.spared = true
		b.logger.WarnContext(context.Background(), "throttle's store fails; it is asked rarely until it answers", "error", b.last)
	}
	return b.refusalLocked()
}

// refusal is why a request fails without a try.
func (b *budget) refusal() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refusalLocked()
}

// refusalLocked is refusal, with mu held. Of a store that fails for some keys
// alone, the last failure may be forgotten.
func (b *budget) refusalLocked() error {
	if b.last == nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, errSpared)
	}
	return fmt.Errorf("%w: %w: %w", ErrUnavailable, errSpared, b.last)
}

// failed begins the budget, or continues it.
func (b *budget) failed(now instant, kind callKind, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.failing {
		b.failing, b.tries = true, tries{allTries, now}
	}
	b.writes = b.writes || kind != load
	b.last = err
}

// succeeded ends the budget. A read proves nothing for writes.
func (b *budget) succeeded(kind callKind) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.failing || b.writes && kind == load {
		return
	}
	if b.spared {
		b.logger.InfoContext(context.Background(), "throttle's store answers again")
	}
	b.failing, b.writes, b.spared, b.last = false, false, false, nil
}
