package quota

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"time"
)

// Bounds on early refusals, and on the wait before them.
const (
	leastRetryAfter = time.Second
	// MostRetryAfter is the longest RetryAfter of a Decision that is Contended.
	MostRetryAfter = 2 * time.Second

	patience = 900 * time.Millisecond
)

// wait returns the waiter's answer, or the end of its context, if that comes first.
// No request waits longer than a second for a document that others write: then it
// is refused early.
func (l *Limiter) wait(ctx context.Context, s *shard, e *entry, w *waiter) (Decision, error) {
	_, span := l.telemetry.tracer.Start(ctx, "quota.wait")
	defer span.End()
	enough := time.NewTimer(patience)
	defer enough.Stop()
	for {
		select {
		case <-w.answered:
			return w.decision, w.err
		case <-ctx.Done():
			if l.leave(s, w) {
				return Decision{}, fmt.Errorf("reserve %s: %w: %w", e.key(), ErrUnavailable, ctx.Err())
			}
		case <-enough.C:
			if d, ok := l.loseInterest(s, e, w); ok {
				return d, nil
			}
			enough.Reset(patience / 9)
		}
	}
}

// leave reports whether the waiter could leave before it was answered.
func (l *Limiter) leave(s *shard, w *waiter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.gone = w.gone || !w.done
	return w.gone
}

// loseInterest is leave for a waiter that has waited for others to write, and not
// for a failing store.
func (l *Limiter) loseInterest(s *shard, e *entry, w *waiter) (d Decision, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[e]; w.done || e.shared == nil || crowdOf(e.shared.Sharing) == 0 || f == nil || f.failing {
		return Decision{}, false
	}
	w.gone = true
	return e.decision(l.clock(), contended), true
}

// chance draws a number in [0, 1) for a key at a time, the same one for the same
// seed: so what a limiter does depends on nothing else.
func (l *Limiter) chance(e *entry, now instant) float64 {
	hash := fnv.New64a()
	_, _ = io.WriteString(hash, e.name)
	return rand.New(rand.NewPCG(l.options.Seed, hash.Sum64()^uint64(now))).Float64()
}
