package certified

import (
	"context"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// closedWatch is the watch of a resource that cannot be watched.
var closedWatch = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Watch returns a channel that is closed when the owner of the resource may have
// changed, and when that can no longer be known. It holds memory until ctx ends or
// it is closed. If nothing is certified now, or the Cache is nil, it is closed from
// the start.
//
// The watch is registered before the certificate is loaded: if that runs out later,
// the watch ends.
func (c *Cache) Watch(ctx context.Context, r registry.Resource) <-chan struct{} {
	if c == nil {
		return closedWatch
	}
	done, release := c.table.watch(ctx, r)
	if !c.certifier.certifies(time.Now()) {
		release()
		c.certifier.missed(Uncertified)
		return closedWatch
	}
	c.certifier.keepAwake()
	return done
}

// watch is shared by all callers that watch one resource. Its shard's lock guards
// it.
type watch struct {
	done    chan struct{}
	holders map[*holder]struct{}
	read    time.Duration // since the cache began: the latest read that it rests on was sent

	// facts are those that the answers to its holders rested on, known once a
	// check has read them; position is that of the newest ledger that such an
	// answer was folded with.
	facts    *facts
	position int64
}

// holder is one call of Watch whose context has not ended.
type holder struct{ stop func() bool }

// watch returns the channel of a resource's watch, which ends with ctx for this
// holder, or with the function that is returned.
func (t *table) watch(ctx context.Context, r registry.Resource) (done <-chan struct{}, release func()) {
	s, hash := t.shardOf(r)
	h := &holder{}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.lookup(hash, r)
	now := time.Now()
	w := s.watches[r]
	if w == nil {
		w = &watch{done: make(chan struct{}), holders: map[*holder]struct{}{}, read: now.Sub(t.began)}
		s.watches[r] = w
		t.watching.Add(1)
		if known != nil && !t.aged(t.age(known.read, now)) {
			facts := known.facts()
			w.facts, w.position, w.read = &facts, facts.position, known.read
		}
	}
	w.holders[h] = struct{}{}
	release = func() { t.release(r, w, h) }
	h.stop = context.AfterFunc(ctx, release)
	return w.done, release
}

// release ends a holder's interest; the last one removes the watch.
func (t *table) release(r registry.Resource, w *watch, h *holder) {
	s, _ := t.shardOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watches[r] != w {
		return // it has been closed already
	}
	h.stop()
	delete(w.holders, h)
	if len(w.holders) == 0 {
		delete(s.watches, r)
		t.watching.Add(-1)
	}
}

// unwatchLocked removes the watch from the shard. The caller closes it once the
// lock is released.
func (s *shard) unwatchLocked(r registry.Resource) *watch {
	w := s.watches[r]
	delete(s.watches, r)
	return w
}

// close closes the channels of a watch that was removed from its shard.
func (t *table) close(w *watch) {
	t.watching.Add(-1)
	close(w.done)
	for h := range w.holders {
		h.stop()
	}
}

// closeWatches ends those that match, and returns how many.
func (t *table) closeWatches(match func(*watch) bool) (closed int) {
	for i := range t.shards {
		s := &t.shards[i]
		var ended []*watch
		s.mu.Lock()
		for r, w := range s.watches {
			if match(w) {
				delete(s.watches, r)
				ended = append(ended, w)
			}
		}
		s.mu.Unlock()
		for _, w := range ended {
			t.close(w)
		}
		closed += len(ended)
	}
	return closed
}

// flip ends the watches of resources whose owner differs between two ledgers, or
// may differ.
func (t *table) flip(from, to *ownership.Ledger) (closed int) {
	return t.closeWatches(func(w *watch) bool {
		return w.position > from.Position() || w.facts == nil || !w.facts.same(from, to)
	})
}

// silence ends the watches of resources that may change without a notice. There are
// few of them, usually none: the flag silent says whether to look.
func (t *table) silence(l *ownership.Ledger) (closed int) {
	if !t.silent.Swap(false) {
		return 0
	}
	return t.closeWatches(func(w *watch) bool { return w.facts != nil && w.facts.silent(l) })
}

// expire ends the watches that rest on reads which are too old by now.
func (t *table) expire(now time.Duration) (closed int) {
	if t.watching.Load() == 0 || t.maxAge.Load() <= 0 {
		return 0
	}
	return t.closeWatches(func(w *watch) bool { return t.aged(now - w.read) })
}

// learn records what a check has read. It returns false if that contradicts what
// was known: then a plain set, which leaves no notice, came between.
func (w *watch) learn(f facts, void bool, l *ownership.Ledger, sent time.Duration) bool {
	w.position = max(w.position, f.position)
	switch {
	case void: // what is known stands until it is invalidated
	case w.facts == nil:
		w.facts, w.read = &f, max(w.read, sent)
	case f.position >= w.facts.position:
		if !w.facts.agree(&f, l) {
			return false
		}
		w.facts, w.read = &f, max(w.read, sent)
	}
	return true
}
