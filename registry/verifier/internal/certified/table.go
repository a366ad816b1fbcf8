package certified

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// table holds the histories, the watches and the subscriptions, in shards with a
// lock each. Whatever makes a history wrong removes it and ends its watch in one
// step.
type table struct {
	seed   maphash.Seed
	shards []shard // a power of two of them
	began  time.Time
	maxAge atomic.Int64 // nanoseconds; ≤ 0: no bound
	era    atomic.Pointer[era]

	watching      atomic.Int64 // watches in all shards
	subscribed    atomic.Int64 // subs in all shards
	subscriptions subscriptions
	silent        atomic.Bool // some watch may rest on a history that changes without a notice
	lastHits      int64       // when the certifier last looked
}

// A Mark is taken before a read is sent. It shows the cache later whether what was
// read may be kept.
type Mark struct {
	voids uint64
	Sent  time.Duration // since the cache began
}

const mostShards = 64

func newTable(entries int, bytes int64, maxAge time.Duration) *table {
	// Keep at least 64 entries per shard: tiny shards thrash.
	shards := 1 << bits.Len(uint(min(mostShards-1, entries/64, int(bytes/(64<<10)))))
	t := &table{seed: maphash.MakeSeed(), shards: make([]shard, shards), began: time.Now()}
	t.maxAge.Store(int64(maxAge))
	t.era.Store(&era{})
	for i := range t.shards {
		most := entries / shards // and a little more, since hashes are not spread evenly
		t.shards[i].init(t.seed, max(1, most+most/16), bytes/int64(shards))
	}
	return t
}

// shardOf returns the shard of a resource, and its hash. The hash is seeded per
// process, so that no one can choose ids that collide.
func (t *table) shardOf(r registry.Resource) (*shard, uint64) {
	hash := maphash.String(t.seed, r.ID)
	return &t.shards[hash>>32&uint64(len(t.shards)-1)], hash
}

func (t *table) mark(r registry.Resource, now time.Time) Mark {
	s, _ := t.shardOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	return Mark{s.voids, now.Sub(t.began)}
}

// insert keeps what a read saw, unless something in the shard was invalidated since
// before the read was sent: it may have been this very resource. Nor does it keep what
// was read with a ledger of another epoch: that waits for the certificate which begins
// the era. It returns how many watches were closed because the read contradicts them.
func (t *table) insert(r registry.Resource, history ownership.History, l *ownership.Ledger, m Mark) (closed int) {
	f := factsOf(history, l)
	s, hash := t.shardOf(r)
	s.mu.Lock()
	w := s.watches[r]
	number, ofEra := t.eraOf(l)
	void := s.voids != m.voids || !ofEra
	if !void {
		s.putLocked(hash, r, f, m.Sent, number)
	}
	differs := w != nil && !w.learn(f, void, l, m.Sent)
	if w != nil && f.silent(l) {
		t.silent.Store(true)
	}
	if differs {
		s.unwatchLocked(r)
	}
	into := touched{}
	owner, ok := f.owner(l)
	// What cannot be relied on is verified again even if another resource of the shard
	// has become void: its owner may change without a notice.
	s.touchLocked(hash, r, into, func(o Ownership) bool { return !ok || !void && owner != o.TenantID })
	s.mu.Unlock()
	into.deliver()
	if !differs {
		return 0
	}
	t.close(w)
	return 1
}

// invalidate forgets a resource, voids what is being read, and ends the watch. It
// collects the subscriptions to be told.
func (t *table) invalidate(r registry.Resource, into touched) (closed int) {
	s, hash := t.shardOf(r)
	s.mu.Lock()
	s.voids++
	s.removeLocked(hash, r)
	w := s.unwatchLocked(r)
	s.touchLocked(hash, r, into, nil)
	s.mu.Unlock()
	if w == nil {
		return 0
	}
	t.close(w)
	return 1
}

// drop forgets everything, and returns how many watches it closed.
func (t *table) drop() (closed int) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		s.voids++
		s.clearLocked()
		s.mu.Unlock()
	}
	return t.closeWatches(func(*watch) bool { return true })
}

// age returns how long ago something was read.
func (t *table) age(read time.Duration, now time.Time) time.Duration { return now.Sub(t.began) - read }

// aged reports whether what is kept is too old: a plain set, which leaves no notice, may
// have come after it was read.
func (t *table) aged(age time.Duration) bool {
	maxAge := time.Duration(t.maxAge.Load())
	return maxAge > 0 && age > maxAge
}

// ageing reports whether what is kept will soon be too old: in the last tenth of MaxAge.
// The hash decides when within the first half of that, so that resources that were read
// together are not read together for ever.
func (t *table) ageing(hash uint64, age time.Duration) bool {
	maxAge := time.Duration(t.maxAge.Load())
	if maxAge <= 0 || age <= maxAge-maxAge>>3 { // as nearly always: without a division
		return false
	}
	early := maxAge/20 + maxAge/20/256*time.Duration(hash&0xff)
	return age > maxAge-early
}

// usage returns entries and bytes.
func (t *table) usage() (entries, bytes int64) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		entries += int64(s.entries)
		bytes += s.bytes
		s.mu.Unlock()
	}
	return entries, bytes
}

// hits returns how many checks were answered from memory, of threads and of
// canvases.
func (t *table) hits() (threads, canvases int64) {
	for i := range t.shards {
		threads += t.shards[i].threadHits.Load()
		canvases += t.shards[i].canvasHits.Load()
	}
	return threads, canvases
}

// hitsChanged reports whether there were hits since it was last called.
func (t *table) hitsChanged() bool {
	threads, canvases := t.hits()
	before := t.lastHits
	t.lastHits = threads + canvases
	return t.lastHits != before
}
