package quota

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// flight is the calls of the store for one key, one at a time, for all who wait
// for them. It is guarded by the shard's lock, which is not held during a call.
type flight struct {
	waiters []*waiter
	// returning: begun to give the block back. Ends with the first waiter: the
	// tenant is not idle.
	returning bool
}

// waiter is a request that waits for the store. Answered, it has taken its
// units; gone, it gets none.
type waiter struct {
	n        int32
	gone     bool
	answered chan struct{}
	decision Decision
	err      error
}

func (w *waiter) answer(d Decision, err error) {
	w.decision, w.err = d, err
	close(w.answered)
}

// board registers a flight, which fly is to be called for. The caller holds the
// shard's lock.
func (l *Limiter) board(s *shard, e *entry, f *flight) *flight {
	s.flights[e] = f
	l.underWay.Add(1)
	return f
}

// fly calls the store until nobody waits any more.
func (l *Limiter) fly(s *shard, e *entry, f *flight) {
	defer l.underWay.Done()
	key, c := e.key(), course{pause: newPause()}
	s.mu.Lock()
	defer s.mu.Unlock()
	l.change(s, e, func(b *block) {
		if now := l.clock(); !f.returning && (now >= b.deadline || b.unspent() > 0) {
			b.adapt(now)
		}
	})
	for {
		var next call
		l.change(s, e, func(b *block) { next = f.next(b, l.clock()) })
		if next.kind == nothing {
			delete(s.flights, e)
			return
		}
		if err := l.begin(s, e, &c); err != nil {
			f.fail(fmt.Errorf("claim %s: %w", key, err))
			continue
		}
		s.mu.Unlock()
		answer := l.call(key, next)
		s.mu.Lock()
		l.apply(s, e, f, next, answer)
		if answer.err == nil {
			l.succeed(s, e, &c, next)
			continue
		}
		pause, enough := l.miss(s, e, &c, next, answer.err)
		if enough {
			f.fail(fmt.Errorf("claim %s: %w", key, answer.err))
			continue
		}
		s.mu.Unlock()
		time.Sleep(pause)
		s.mu.Lock()
	}
}

// next answers every waiter that can be, and returns the call that the others
// need.
func (f *flight) next(b *block, now instant) call {
	kept, need := f.waiters[:0], int64(0)
	for _, w := range f.waiters {
		if w.gone {
			continue
		}
		switch v := b.spend(now, w.n); v {
		case granted, refused:
			w.answer(b.decision(now, v), nil)
		default:
			kept = append(kept, w)
			need += int64(w.n)
		}
	}
	clear(f.waiters[len(kept):])
	f.waiters = kept
	if len(kept) > 0 {
		f.returning = false
		return b.nextFor(now, kept[0].n, int32(min(need, MaxLimit)))
	}
	if f.returning {
		return b.nextReturn(now)
	}
	return call{}
}

// fail ends the flight's waiting.
func (f *flight) fail(err error) {
	for _, w := range f.waiters {
		if !w.gone {
			w.answer(Decision{}, err)
		}
	}
	f.waiters, f.returning = nil, false
}

// call asks the store, with a deadline of its own: those who wait have theirs.
func (l *Limiter) call(key Key, c call) (a answer) {
	ctx, cancel := context.WithTimeout(context.Background(), l.options.Timeout)
	defer cancel()
	began := time.Now()
	a.sent = l.clock()
	switch c.kind {
	case load:
		a.snapshot, a.err = l.store.Load(ctx, key)
	case claim, giveBack:
		a.receipt, a.err = l.store.Save(ctx, key, Change{Window: c.window, Since: c.since, ExpiresAt: expiry(c.window)})
	}
	l.telemetry.called(ctx, c, time.Since(began), a.err)
	return a
}

// apply tells the block what the store has said.
func (l *Limiter) apply(s *shard, e *entry, f *flight, c call, a answer) {
	label := l.labelOf(e)
	policy := l.policies.current().Of(e.key())
	l.change(s, e, func(b *block) { l.telemetry.stranded(label, b.answered(l.clock(), c, a, policy)) })
	if c.kind == claim && a.err == nil {
		l.telemetry.claimed(label, c)
	}
	if c.kind == giveBack && !errors.Is(a.err, ErrConflict) {
		f.returning = false
	}
}

// expiry is when a window's document may be deleted: well after its end, by the
// clock that deletes.
func expiry(w Window) time.Time {
	return time.UnixMicro(int64(w.LastReset * 1e6)).Add(w.Length + time.Hour)
}
