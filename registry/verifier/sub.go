package verifier

import (
	"github.com/northstar-engines/realtime-registry/registry"
)

// sub is one resource of a Watcher, in the shard that keeps the resource. Unlike a
// watch it outlasts what it is told: the Watcher verifies again by itself.
type sub struct {
	watcher *Watcher
	index   int32
	next    *sub // of the same hash
}

// touched are the ownerships that a change may concern. They are delivered
// together, without a shard's lock, so that a change of many is one to a Watcher.
type touched map[*Watcher][]int32

func (t touched) add(u *sub) { t[u.watcher] = append(t[u.watcher], u.index) }

func (t touched) deliver() {
	for w, indexes := range t {
		w.touch(indexes)
	}
}

// subscribe makes a Watcher hear of its resources from now on.
func (c *cache) subscribe(w *Watcher) {
	c.watchers.add(w)
	for i := range w.subs {
		u := &w.subs[i]
		s, hash := c.shardOf(w.items[i].Resource)
		s.mu.Lock()
		u.next = s.subs[hash]
		s.subs[hash] = u
		s.mu.Unlock()
	}
	c.subscribed.Add(int64(len(w.subs)))
}

// unsubscribe ends that for one resource.
func (c *cache) unsubscribe(u *sub) {
	s, hash := c.shardOf(u.watcher.items[u.index].Resource)
	s.mu.Lock()
	defer s.mu.Unlock()
	before, last := (*sub)(nil), s.subs[hash]
	for last != nil && last != u {
		before, last = last, last.next
	}
	switch {
	case last == nil:
		return
	case before != nil:
		before.next = u.next
	case u.next != nil:
		s.subs[hash] = u.next
	default:
		delete(s.subs, hash)
	}
	u.next = nil
	c.subscribed.Add(-1)
}

// touch collects who has a sub of the resource, if concerns says so. It is called
// with the lock held.
func (s *shard) touch(hash uint64, r registry.Resource, into touched, concerns func(Ownership) bool) {
	for u := s.subs[hash]; u != nil; u = u.next {
		if o := &u.watcher.items[u.index].Ownership; o.Resource == r && (concerns == nil || concerns(*o)) {
			into.add(u)
		}
	}
}

// turn collects the ownerships that a certificate with another ledger ends, and
// those of which that cannot be told.
func (c *cache) turn(cert *certificate) touched {
	into := touched{}
	if c.watchers.count() == 0 {
		return into
	}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for hash, u := range s.subs {
			for ; u != nil; u = u.next {
				o := &u.watcher.items[u.index].Ownership
				if e := s.lookup(hash, o.Resource); e != nil {
					if owner, ok := e.owner(cert); ok && owner == o.TenantID {
						continue
					}
				}
				into.add(u)
			}
		}
		s.mu.Unlock()
	}
	return into
}
