package certified

import (
	"sync"

	"github.com/northstar-engines/realtime-registry/registry"
)

// Ownership says that a tenant owns a resource.
type Ownership struct {
	TenantID string
	Resource registry.Resource
}

// A Subscriber is told what becomes of many ownerships. Unlike a Watch, a
// Subscription goes on after a change: the subscriber checks again by itself. No
// method may block, or call the Subscription.
type Subscriber interface {
	// Changed says which ownerships, by index, a change may have ended. Told does
	// not cover the change yet.
	Changed(indexes []int32)
	// Dropped says that the cache had to forget everything: any may have ended.
	Dropped()
	// Certified says that Told has a newer certificate.
	Certified()
}

// A Subscription is a list of ownerships whose changes a subscriber is told of.
type Subscription struct {
	table      *table
	subscriber Subscriber
	ownerships []Ownership
	subs       []sub
}

// sub is one resource of a subscription, in the resource's shard.
type sub struct {
	subscription *Subscription
	index        int32
	next         *sub // of the same hash
}

// ownership never changes.
func (u *sub) ownership() *Ownership { return &u.subscription.ownerships[u.index] }

// Subscribe reports changes of the ownerships to the subscriber from now on. The
// caller must not alter the list.
func (c *Cache) Subscribe(ownerships []Ownership, subscriber Subscriber) *Subscription {
	t := c.table
	sn := &Subscription{table: t, subscriber: subscriber, ownerships: ownerships, subs: make([]sub, len(ownerships))}
	t.subscriptions.add(sn)
	for i, o := range ownerships {
		u := &sn.subs[i]
		u.subscription, u.index = sn, int32(i)
		s, hash := t.shardOf(o.Resource)
		s.mu.Lock()
		u.next = s.subs[hash]
		s.subs[hash] = u
		s.mu.Unlock()
	}
	t.subscribed.Add(int64(len(ownerships)))
	c.certifier.keepAwake()
	return sn
}

// Close ends the subscription. It may be called more than once.
func (sn *Subscription) Close() {
	sn.table.subscriptions.remove(sn)
	for i := range sn.subs {
		sn.Drop(int32(i))
	}
}

// Drop ends the subscription for one ownership.
func (sn *Subscription) Drop(index int32) {
	u := &sn.subs[index]
	s, hash := sn.table.shardOf(u.ownership().Resource)
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
	sn.table.subscribed.Add(-1)
}

// touched are the ownerships that a change may concern. They are delivered together
// and without a shard's lock, so that a subscriber is told once of a change of
// many.
type touched map[*Subscription][]int32

func (t touched) add(u *sub) { t[u.subscription] = append(t[u.subscription], u.index) }

func (t touched) deliver() {
	for sn, indexes := range t {
		sn.subscriber.Changed(indexes)
	}
}

// touchLocked collects the subs of the resource for which concerns is true; all of
// them if concerns is nil.
func (s *shard) touchLocked(hash uint64, r registry.Resource, into touched, concerns func(Ownership) bool) {
	for u := s.subs[hash]; u != nil; u = u.next {
		if o := u.ownership(); o.Resource == r && (concerns == nil || concerns(*o)) {
			into.add(u)
		}
	}
}

// turn collects the ownerships that a certificate with another ledger ends, or may
// end.
func (t *table) turn(cert *certificate) touched {
	into := touched{}
	if t.subscriptions.count() == 0 {
		return into
	}
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for hash, u := range s.subs {
			for ; u != nil; u = u.next {
				o := u.ownership()
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

// subscriptions are the open subscriptions.
type subscriptions struct {
	mu  sync.Mutex
	set map[*Subscription]struct{}
}

func (s *subscriptions) add(sn *Subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set == nil {
		s.set = map[*Subscription]struct{}{}
	}
	s.set[sn] = struct{}{}
}

func (s *subscriptions) remove(sn *Subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.set, sn)
}

func (s *subscriptions) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.set)
}

func (s *subscriptions) each(do func(Subscriber)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sn := range s.set {
		do(sn.subscriber)
	}
}
