package verifier

import (
	"context"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// watch is what all who watch one resource share. Its shard's lock guards it.
type watch struct {
	done    chan struct{}
	holders map[*holder]struct{}
	expires time.Duration // since the cache began; 0: never

	// facts are those that the answers to its holders rested on, known once a
	// check has read them; seq is the newest ledger that such an answer was
	// folded with.
	facts *facts
	seq   int64
}

// holder is one call of Watch whose context has not ended.
type holder struct{ stop func() bool }

var closedWatch = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// watch returns the channel of a resource's watch, which ends with ctx for this
// holder, or with the function that is returned.
func (c *cache) watch(ctx context.Context, r registry.Resource) (done <-chan struct{}, release func()) {
	s, hash := c.shardOf(r)
	h := &holder{}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.lookup(hash, r)
	now := time.Now()
	w := s.watches[r]
	if w == nil {
		w = &watch{done: make(chan struct{}), holders: map[*holder]struct{}{}, expires: c.expiry(now.Sub(c.began))}
		s.watches[r] = w
		c.watching.Add(1)
		if known != nil && !c.aged(known.read, now) {
			facts := known.facts()
			w.facts, w.seq, w.expires = &facts, facts.seq, c.expiry(known.read)
		}
	}
	w.holders[h] = struct{}{}
	release = func() { c.release(r, w, h) }
	h.stop = context.AfterFunc(ctx, release)
	return w.done, release
}

// release ends a holder's interest; the last one takes the watch away.
func (c *cache) release(r registry.Resource, w *watch, h *holder) {
	s, _ := c.shardOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watches[r] != w {
		return // it has been closed
	}
	h.stop()
	delete(w.holders, h)
	if len(w.holders) == 0 {
		delete(s.watches, r)
		c.watching.Add(-1)
	}
}

// unwatch takes the watch out of the shard; the caller holds the lock, and
// closes what is returned without it.
func (s *shard) unwatch(r registry.Resource) *watch {
	w := s.watches[r]
	delete(s.watches, r)
	return w
}

// close tells the holders of a watch that was taken out of its shard.
func (c *cache) close(w *watch) {
	c.watching.Add(-1)
	close(w.done)
	for h := range w.holders {
		h.stop()
	}
}

// closeWatches ends those that match, and returns how many.
func (c *cache) closeWatches(match func(*watch) bool) (closed int) {
	for i := range c.shards {
		s := &c.shards[i]
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
			c.close(w)
		}
		closed += len(ended)
	}
	return closed
}

// flip ends the watches of resources whose owner differs between two ledgers,
// and those of which that cannot be told.
func (c *cache) flip(from, to *ownership.Ledger) (closed int) {
	return c.closeWatches(func(w *watch) bool { return w.seq > from.Seq() || !w.same(from, to) })
}

// silence ends the watches of resources of whose change nobody may be told. There
// are few of them, and none as a rule: silent says whether to look.
func (c *cache) silence(l *ownership.Ledger) (closed int) {
	if !c.silent.Swap(false) {
		return 0
	}
	return c.closeWatches(func(w *watch) bool { return w.facts != nil && w.facts.silent(l) })
}

// expire ends the watches that rest on reads which are too old by now.
func (c *cache) expire(now time.Duration) (closed int) {
	if c.watching.Load() == 0 {
		return 0
	}
	return c.closeWatches(func(w *watch) bool { return w.expires > 0 && now > w.expires })
}

// same reports whether the owner is known to be the same by both ledgers.
func (w *watch) same(from, to *ownership.Ledger) bool {
	if w.facts == nil {
		return false
	}
	before, ok := w.facts.owner(from)
	after, ok2 := w.facts.owner(to)
	return ok && ok2 && before == after
}

// learn takes note of what a check has read. It returns false where that
// contradicts what was known: a plain set, of which nobody is told.
func (w *watch) learn(f facts, void bool, l *ownership.Ledger, expires time.Duration) bool {
	w.seq = max(w.seq, f.seq)
	switch {
	case void: // what is known stands until it is invalidated
	case w.facts == nil:
		w.facts, w.expires = &f, max(w.expires, expires)
	case f.seq >= w.facts.seq:
		if !w.facts.agree(&f, l) {
			return false
		}
		w.facts, w.expires = &f, max(w.expires, expires)
	}
	return true
}

// agree reports whether two reads of one resource name the same owner.
func (f *facts) agree(g *facts, l *ownership.Ledger) bool {
	before, ok := f.owner(l)
	after, ok2 := g.owner(l)
	if ok && ok2 {
		return before == after
	}
	return f.Tenant == g.Tenant && f.history.Equal(g.history)
}
