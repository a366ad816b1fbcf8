package certified

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
)

// shard is a part of the table: entries in chains by hash. Lookups take no lock;
// mu is for everything else.
type shard struct {
	buckets                atomic.Pointer[buckets]
	seed                   maphash.Seed
	threadHits, canvasHits atomic.Int64

	mu       sync.Mutex
	voids    uint64 // grows with everything that is invalidated
	entries  int
	hand     int // the CLOCK cursor: the next bucket to examine for eviction
	bytes    int64
	most     int   // entries
	mostSize int64 // bytes
	watches  map[registry.Resource]*watch
	subs     map[uint64]*sub // by hash
}

// buckets are chains by hash; a power of two of them, or none.
type buckets []atomic.Pointer[entry]

func (s *shard) init(seed maphash.Seed, most int, bytes int64) {
	s.seed, s.most, s.mostSize = seed, most, bytes
	s.clearLocked()
	s.watches = map[registry.Resource]*watch{}
	s.subs = map[uint64]*sub{}
}

// lookup returns the entry of a resource, or nil. Since it takes no lock, it may
// miss an entry while others are added and removed. It never finds one that was
// removed before the call: the chains that begin in the buckets do not lead there.
func (s *shard) lookup(hash uint64, r registry.Resource) *entry {
	b := *s.buckets.Load()
	if len(b) == 0 {
		return nil
	}
	e := b[hash&uint64(len(b)-1)].Load()
	for e != nil && !e.is(r) {
		e = e.next.Load()
	}
	if e != nil && !e.used.Load() {
		e.used.Store(true)
	}
	return e
}

func (s *shard) countHit(k registry.Kind) {
	if k == registry.Canvas {
		s.canvasHits.Add(1)
	} else {
		s.threadHits.Add(1)
	}
}

func (s *shard) clearLocked() {
	s.buckets.Store(&buckets{})
	s.entries, s.hand, s.bytes = 0, 0, 0
}

// putLocked keeps what a read saw, unless the present entry was read later. It
// replaces that entry in place, so that no lookup misses both.
func (s *shard) putLocked(hash uint64, r registry.Resource, f facts, read time.Duration, era uint32) {
	if before := s.lookup(hash, r); before != nil && before.read > read {
		return
	}
	e := newEntry(r, f, read, era)
	size := e.size()
	if size > s.mostSize || historySize(f.history) > mostHistory {
		s.removeLocked(hash, r)
		return
	}
	entries, bytes := s.othersLocked(hash, r)
	for s.entries > 0 && (entries >= s.most || bytes+size > s.mostSize) {
		s.evictLocked()
		entries, bytes = s.othersLocked(hash, r)
	}
	if n := len(*s.buckets.Load()); entries >= n {
		s.resizeLocked(max(4, 2*n))
	}
	if at := s.placeLocked(hash, r); at != nil {
		e.next.Store(at.Load().next.Load())
		at.Store(e)
	} else {
		s.buckets.Load().push(hash, e)
	}
	s.entries, s.bytes = entries+1, bytes+size
}

// othersLocked returns the number and size of all entries except that of the
// resource.
func (s *shard) othersLocked(hash uint64, r registry.Resource) (entries int, bytes int64) {
	if e := s.lookup(hash, r); e != nil {
		return s.entries - 1, s.bytes - e.size()
	}
	return s.entries, s.bytes
}

func (b *buckets) push(hash uint64, e *entry) {
	bucket := &(*b)[hash&uint64(len(*b)-1)]
	e.next.Store(bucket.Load())
	bucket.Store(e)
}

// resizeLocked moves the entries into other chains. A reader that walks one without
// the lock goes on in another; all chains end, and none leads to a removed entry.
func (s *shard) resizeLocked(n int) {
	resized, before := make(buckets, n), *s.buckets.Load()
	for i := range before {
		for e := before[i].Load(); e != nil; {
			next := e.next.Load()
			resized.push(maphash.String(s.seed, e.id()), e)
			e = next
		}
	}
	s.buckets.Store(&resized)
}

func (s *shard) removeLocked(hash uint64, r registry.Resource) {
	if at := s.placeLocked(hash, r); at != nil {
		s.unlinkLocked(at)
	}
}

// placeLocked returns the place in a chain that leads to the entry of the resource,
// or nil.
func (s *shard) placeLocked(hash uint64, r registry.Resource) *atomic.Pointer[entry] {
	b := *s.buckets.Load()
	if len(b) == 0 {
		return nil
	}
	for at := &b[hash&uint64(len(b)-1)]; at.Load() != nil; at = &at.Load().next {
		if at.Load().is(r) {
			return at
		}
	}
	return nil
}

// unlinkLocked removes the entry that a place in a chain leads to.
func (s *shard) unlinkLocked(at *atomic.Pointer[entry]) {
	e := at.Load()
	s.bytes -= e.size()
	s.entries--
	at.Store(e.next.Load())
}

// evictLocked makes room. The hand goes round and removes an entry that was not
// used since the hand last passed, the oldest of its chain; after a whole round it
// removes any. There must be an entry.
func (s *shard) evictLocked() {
	b := *s.buckets.Load()
	for visited := 0; ; visited++ {
		at := &b[s.hand&(len(b)-1)]
		s.hand++
		var unused *atomic.Pointer[entry]
		for e := at.Load(); e != nil; e = at.Load() {
			if !e.used.Swap(false) || visited > len(b) {
				unused = at
			}
			at = &e.next
		}
		if unused != nil {
			s.unlinkLocked(unused)
			return
		}
	}
}
