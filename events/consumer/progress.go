package consumer

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// phase is where in its life a consumer is.
type phase int

const (
	startingPhase phase = iota
	receivingPhase
	drainingPhase
)

// quiet is how long after the last delivery a consumer that holds nothing is
// taken for idle: longer than the longest backoff between redeliveries, during
// which nacked work is out of sight and still not done.
const quiet = 90 * time.Second

// progress knows whether work is being done. It is safe for concurrent use.
type progress struct {
	timeout time.Duration

	mu          sync.Mutex
	phase       phase
	outstanding int64
	delivered   time.Time // last delivery
	waiting     time.Time // since when there has been work without an ack; zero: there is none
}

func (p *progress) setPhase(to phase) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase = to
}

func (p *progress) received(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting.IsZero() || p.idle(now) {
		p.waiting = now
	}
	p.delivered = now
	p.outstanding++
}

func (p *progress) settled(now time.Time, acked bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outstanding--
	switch {
	case !acked: // a nack is no progress: the work will come back
	case p.outstanding == 0:
		p.waiting = time.Time{}
	default:
		p.waiting = now
	}
}

func (p *progress) outstandingNow() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.outstanding
}

// idle: nothing is held, and what was nacked must have gone elsewhere. Called
// with the lock.
func (p *progress) idle(now time.Time) bool {
	return p.outstanding == 0 && now.Sub(p.delivered) > quiet
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
	if p.waiting.IsZero() || p.idle(now) {
		return nil
	}
	if stuck := now.Sub(p.waiting); stuck > p.timeout {
		return fmt.Errorf("no message acknowledged for %s, with %d outstanding", stuck.Round(time.Second), p.outstanding)
	}
	return nil
}
