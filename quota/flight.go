package quota

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// flight makes the calls of the store for one key, one at a time, for all requests
// that wait for them.
type flight struct {
	waiters []*waiter
	// releasing: begun to release the block. Ends with the first waiter: the tenant
	// is not idle.
	releasing bool
	failing   bool // the last call has failed
}

// waiter is a request that waits for the store. Once it is answered it has its
// units; once it is gone it gets none.
type waiter struct {
	n        int32
	gone     bool
	done     bool
	answered chan struct{} // closed when done
	decision Decision
	err      error
}

func (w *waiter) answer(d Decision, err error) {
	w.decision, w.err, w.done = d, err, true
	close(w.answered)
}

// boardLocked registers a flight; the caller then calls fly.
func (l *Limiter) boardLocked(s *shard, e *entry, f *flight) *flight {
	s.flights[e] = f
	l.underWay.Add(1)
	return f
}

// fly calls the store until no request waits any more.
func (l *Limiter) fly(s *shard, e *entry, f *flight) {
	defer l.underWay.Done()
	key, c := e.key(), course{pause: limits.NewPause()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := l.clock(); !f.releasing && (now >= e.deadline || e.unspent() > 0) {
		e.adapt(now)
	}
	if e.shared != nil {
		e.shared.part.tried = 0
	}
	for {
		now := l.clock()
		next := f.nextLocked(&e.block, now, l.chance(e, now))
		switch next.kind {
		case nothing:
			delete(s.flights, e)
			return
		case again:
			continue
		case pause:
			s.mu.Unlock()
			time.Sleep(time.Duration(next.until - l.clock()))
			s.mu.Lock()
			continue
		}
		if err := l.beginLocked(s, e, &c); err != nil {
			f.failLocked(fmt.Errorf("reserve %s: %w", key, err))
			continue
		}
		s.mu.Unlock()
		answer := l.call(key, next, c.took)
		s.mu.Lock()
		if next.kind == load {
			c.took = time.Duration(l.clock() - answer.sent)
		}
		l.applyLocked(e, f, next, answer)
		if answer.err == nil {
			l.succeedLocked(s, e, &c, next, answer)
			f.failing = false
			continue
		}
		pause, enough := l.failLocked(s, e, &c, next, answer)
		f.failing = !errors.Is(answer.err, limits.ErrConflict) && !next.queued(answer)
		if enough {
			f.failLocked(fmt.Errorf("reserve %s: %w", key, notInTime(answer.err)))
			continue
		}
		s.mu.Unlock()
		time.Sleep(pause)
		s.mu.Lock()
	}
}

// notInTime is the store's error as requests get it. Races that others have won are
// no news for them: the store did not answer in time.
func notInTime(err error) error {
	if errors.Is(err, limits.ErrConflict) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// nextLocked answers every waiter that can be answered, and returns the call that
// the others need.
func (f *flight) nextLocked(b *block, now instant, chance float64) call {
	waiting, need := f.waiters[:0], int64(0)
	for _, w := range f.waiters {
		if w.gone {
			continue
		}
		switch v := b.spend(now, w.n); v {
		case granted, full, contended:
			w.answer(b.decision(now, v), nil)
		default:
			waiting = append(waiting, w)
			need += int64(w.n)
		}
	}
	clear(f.waiters[len(waiting):])
	f.waiters = waiting
	if len(waiting) > 0 {
		f.releasing = false
		return b.nextFor(now, waiting[0].n, int32(min(need, MaxLimit)), chance)
	}
	if f.releasing {
		return b.nextRelease(now)
	}
	return call{}
}

// failLocked answers all who wait with an error.
func (f *flight) failLocked(err error) {
	for _, w := range f.waiters {
		if !w.gone {
			w.answer(Decision{}, err)
		}
	}
	f.waiters, f.releasing = nil, false
}

// call asks the store, with a deadline of its own: those who wait have theirs. The
// last read took so long.
func (l *Limiter) call(key limits.Key, c call, took time.Duration) (a answer) {
	timeout := l.options.Timeout
	if c.blind {
		timeout = min(timeout, max(leastQueue, queueCalls*took))
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	began := time.Now()
	a.sent = l.clock()
	if c.part != 0 {
		key = partKey(key, c.part)
	}
	switch c.kind {
	case load:
		a.snapshot, a.err = l.store.Load(ctx, key)
		if s := &a.snapshot.Window.Sharing; s.Writer == l.number() && s.Processes == 1 && s.Parts == 0 {
			*s = limits.Sharing{} // nobody else has written it
		}
	case reserve, release:
		c.window.Sharing.Writer = l.number()
		a.receipt, a.err = l.store.Save(ctx, key, limits.Change{Window: c.window, Since: c.since, ExpiresAt: expiry(c.window)})
	}
	a.late = a.err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) // Google's client says so by a code of its own
	l.telemetry.called(ctx, c, time.Since(began), a.err)
	return a
}

// number tells this process from others: two of a thousand have the same one once
// in two thousand times, and then write a document a little more often.
func (l *Limiter) number() int64 { return int64(l.options.Seed%MaxLimit) + 1 }

// applyLocked tells the block what the store has said.
func (l *Limiter) applyLocked(e *entry, f *flight, c call, a answer) {
	key := e.key()
	label := l.policies.label(key.Action)
	l.telemetry.stranded(label, e.answered(l.clock(), c, a, l.policies.current().Of(key)))
	if c.kind == reserve && a.err == nil {
		l.telemetry.reserved(label, c)
	}
	if c.kind == release && !errors.Is(a.err, limits.ErrConflict) {
		f.releasing = false
	}
}

// expiry is when a window's document may be deleted: well after its end, by the
// clock that deletes.
func expiry(w limits.Window) time.Time {
	return time.UnixMicro(int64(w.LastReset * 1e6)).Add(w.Length + time.Hour)
}
