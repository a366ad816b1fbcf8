package verifier

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// cache keeps histories, not owners: checks fold the ledger in, so that a move of
// a whole tenant makes nothing in it wrong. It is cut into shards, each with a
// lock of its own for what changes, which also keep the watches: what makes a
// copy wrong ends the watch, in one step.
type cache struct {
	seed   maphash.Seed
	shards []shard // a power of two of them
	began  time.Time
	maxAge time.Duration // ≤ 0: no bound

	watching   atomic.Int64 // watches in all shards
	subscribed atomic.Int64 // subs in all shards
	watchers   watchers
	silent     atomic.Bool // some watch may rest on what changes without a notice
	lastHits   int64       // as the certifier last saw them
}

// facts are what is known of one resource's history.
type facts struct {
	ownership.Brief
	history ownership.History // where the brief does not suffice; else nil
	seq     int64             // position of the ledger that was read with it
}

// mark is taken before a read is sent, and tells afterwards whether what was
// read may be kept.
type mark struct {
	voids uint64
	sent  time.Duration // since the cache began
}

const mostShards = 64

func newCache(o Options) *cache {
	// Shards that hold little evict what they should keep.
	shards := 1 << bits.Len(uint(min(mostShards-1, o.CacheEntries/64, int(o.CacheBytes/(64<<10)))))
	c := &cache{seed: maphash.MakeSeed(), shards: make([]shard, shards), began: time.Now(), maxAge: o.MaxAge}
	for i := range c.shards {
		most := o.CacheEntries / shards // and a little more, since hashes do not spread evenly
		c.shards[i].init(c.seed, max(1, most+most/16), o.CacheBytes/int64(shards))
	}
	return c
}

// shardOf returns where a resource is kept, and by which hash. The hash is
// seeded per process, so that nobody can send ids that collide.
func (c *cache) shardOf(r registry.Resource) (*shard, uint64) {
	hash := maphash.String(c.seed, r.ID)
	return &c.shards[hash>>32&uint64(len(c.shards)-1)], hash
}

func (c *cache) mark(r registry.Resource, now time.Time) mark {
	s, _ := c.shardOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	return mark{s.voids, now.Sub(c.began)}
}

// insert keeps what a read saw, unless something in the shard became void since
// before the read was sent: it may have been this very resource. It returns how
// many watches were closed because what they rest on is contradicted.
func (c *cache) insert(r registry.Resource, history ownership.History, l *ownership.Ledger, m mark) (closed int) {
	f := factsOf(history, l)
	s, hash := c.shardOf(r)
	s.mu.Lock()
	w := s.watches[r]
	void := s.voids != m.voids
	if !void {
		s.put(hash, r, f, m.sent)
	}
	differs := w != nil && !w.learn(f, void, l, c.expiry(m.sent))
	if w != nil && f.silent(l) {
		c.silent.Store(true)
	}
	if differs {
		s.unwatch(r)
	}
	into := touched{}
	if !void {
		owner, ok := f.owner(l)
		s.touch(hash, r, into, func(o Ownership) bool { return !ok || owner != o.TenantID })
	}
	s.mu.Unlock()
	into.deliver()
	if !differs {
		return 0
	}
	c.close(w)
	return 1
}

// invalidate forgets a resource, voids what is being read, and ends the watch. Who
// else is to be told is collected.
func (c *cache) invalidate(r registry.Resource, into touched) (closed int) {
	s, hash := c.shardOf(r)
	s.mu.Lock()
	s.voids++
	s.remove(hash, r)
	w := s.unwatch(r)
	s.touch(hash, r, into, nil)
	s.mu.Unlock()
	if w == nil {
		return 0
	}
	c.close(w)
	return 1
}

// drop forgets everything.
func (c *cache) drop() (closed int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.voids++
		s.clear()
		s.mu.Unlock()
	}
	return c.closeWatches(func(*watch) bool { return true })
}

// aged reports whether what was read then is too old, since a plain set, of which
// nobody is told, may have come after.
func (c *cache) aged(read time.Duration, now time.Time) bool {
	return c.maxAge > 0 && now.Sub(c.began)-read > c.maxAge
}

// expiry is when a watch ends that rests on a read sent then; 0 is never.
func (c *cache) expiry(sent time.Duration) time.Duration {
	if c.maxAge <= 0 {
		return 0
	}
	return sent + c.maxAge
}

// usage returns entries and bytes.
func (c *cache) usage() (entries, bytes int64) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		entries += int64(s.entries)
		bytes += s.bytes
		s.mu.Unlock()
	}
	return entries, bytes
}

// hits returns how many checks were answered from memory, of threads and of
// canvases.
func (c *cache) hits() (threads, canvases int64) {
	for i := range c.shards {
		threads += c.shards[i].threadHits.Load()
		canvases += c.shards[i].canvasHits.Load()
	}
	return threads, canvases
}

// hitsChanged reports whether there were hits since it was last called.
func (c *cache) hitsChanged() bool {
	threads, canvases := c.hits()
	before := c.lastHits
	c.lastHits = threads + canvases
	return c.lastHits != before
}

// factsOf are what is to be kept of a history: its brief, unless that cannot name
// the owner and the history can, as it can for what a tenant has claimed after
// everything that it had was moved away.
func factsOf(history ownership.History, l *ownership.Ledger) facts {
	if brief, ok := history.Brief(); ok {
		if _, told := brief.Owner(l); told || !history.Settled(l) {
			return facts{Brief: brief, seq: l.Seq()}
		}
	}
	return facts{history: history, seq: l.Seq()}
}

// owner folds with a ledger. It is not ok where the facts may not be relied on
// with this one.
func (f *facts) owner(l *ownership.Ledger) (owner string, ok bool) {
	switch {
	case f.seq > l.Seq(): // read later than the ledger: the two may never have been true together
		return "", false
	case f.history == nil:
		return f.Brief.Owner(l)
	case !f.history.Settled(l):
		return "", false
	}
	return f.history.Owner(l), true
}

// silent reports whether the owner by a ledger, which is not older than the facts,
// may change without a notice: a creation may join the history (design §4,
// exemptions). Checks of such a resource read each time.
func (f *facts) silent(l *ownership.Ledger) bool {
	if f.seq > l.Seq() {
		return false
	}
	_, ok := f.owner(l)
	return !ok
}
