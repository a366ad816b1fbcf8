package consumer

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// phase is a phase of a consumer's life.
type phase int

const (
	startingPhase phase = iota
	receivingPhase
	drainingPhase
)

// quiet is how long after the last work a consumer that holds nothing counts as
// idle. It is longer than the longest backoff between redeliveries, during which
// nacked work is not visible and still not done.
const quiet = 90 * time.Second

// waiting tracks since when there has been work and none of it was done.
type waiting struct {
	held  int64     // has come, and not left
	last  time.Time // when work came last
	since time.Time // zero: nothing waits
}

// came records that work has come.
func (w *waiting) came(now time.Time) {
	if w.since.IsZero() || w.idle(now) {
		w.since = now
	}
	w.last = now
	w.held++
}

// left records that n pieces have left, done or not. Only what was done is
// progress: the rest will come back.
func (w *waiting) left(now time.Time, n int64, done bool) {
	w.held = max(0, w.held-n)
	switch {
	case !done:
	case w.held == 0:
		w.since = time.Time{}
	default:
		w.since = now
	}
}

// idle reports whether nothing is held, and work that was not done must have gone
// elsewhere.
func (w *waiting) idle(now time.Time) bool { return w.held == 0 && now.Sub(w.last) > quiet }

// stuck returns how long there has been work of which nothing was done; 0 without
// work.
func (w *waiting) stuck(now time.Time) time.Duration {
	if w.since.IsZero() || w.idle(now) {
		return 0
	}
	return now.Sub(w.since)
}

// progress knows whether work is being done. It is safe for concurrent use.
type progress struct {
	timeout time.Duration

	mu    sync.Mutex
	phase phase
	work  waiting // from delivery until it is settled
}

func (p *progress) setPhase(to phase) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase = to
}

func (p *progress) received(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.work.came(now)
}

func (p *progress) settled(now time.Time, acked bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.work.left(now, 1, acked)
}

func (p *progress) outstandingNow() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.work.held
}

func (p *progress) ready(now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.phase {
	case startingPhase:
		return errors.New("not receiving yet")
	case drainingPhase:
		return errors.New("draining")
	}
	if stuck := p.work.stuck(now); stuck > p.timeout {
		return fmt.Errorf("no message acknowledged for %s, with %d outstanding", stuck.Round(time.Second), p.work.held)
	}
	return nil
}
