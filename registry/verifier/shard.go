package verifier

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// shard is a part of the cache. Entries are looked up without its lock, which is
// for all else.
type shard struct {
	buckets                atomic.Pointer[buckets]
	seed                   maphash.Seed
	threadHits, canvasHits atomic.Int64

	mu       sync.Mutex
	voids    uint64 // grows with everything that becomes void
	entries  int
	hand     int // the bucket at which the clock stands that finds what to evict
	bytes    int64
	most     int   // entries
	mostSize int64 // bytes
	watches  map[registry.Resource]*watch
	subs     map[uint64]*sub // by hash
}

// buckets are chains by hash; a power of two of them, or none.
type buckets []atomic.Pointer[entry]

// entry is one cached history, packed: a million of them must fit. What a check
// rests on never changes; a later read makes another entry.
type entry struct {
	key  string               // kind, id and, for a brief, the tenant, in one text
	fold atomic.Pointer[fold] // the owner by the last ledger that was asked; nil: none was
	read time.Duration        // when its read was sent, since the cache began
	next atomic.Pointer[entry]
	used atomic.Bool // since the hand came by
	ids  uint16      // length of kind and id

	// arrived is the position, its low bits, of the last ledger with which the
	// owner was looked for among the late arrivals: once is enough.
	arrived atomic.Uint32

	history *ownership.History // nil: a brief
	last    int64              // of the brief
	seq     int64              // position of the ledger that was read with it
}

// fold is who owns a resource by a ledger.
type fold struct {
	by    *fold  // what all folds by that ledger have in common: certificate.unmoved
	owner string // empty: the brief's tenant, as before
}

func newUnmoved() *fold {
	f := &fold{}
	f.by = f
	return f
}

// entrySize is about what an entry takes beside its text: itself, its place in
// a bucket, and the room that is left in both. (Where the resource has moved, its
// fold takes some thirty bytes more.)
const entrySize = 100

// mostHistory is the size of a history above which it is not kept.
const mostHistory = 16 << 10

func (s *shard) init(seed maphash.Seed, most int, bytes int64) {
	s.seed, s.most, s.mostSize = seed, most, bytes
	s.clear()
	s.watches = map[registry.Resource]*watch{}
	s.subs = map[uint64]*sub{}
}

func (s *shard) clear() {
	s.buckets.Store(&buckets{})
	s.entries, s.hand, s.bytes = 0, 0, 0
}

// kindByte stands for a kind in an entry's key; 0 for what is none.
func kindByte(k registry.Kind) byte {
	switch k {
	case registry.Thread, registry.Canvas:
		return k[0]
	}
	return 0
}

func (e *entry) is(r registry.Resource) bool {
	return int(e.ids) == len(r.ID)+1 && e.key[0] == kindByte(r.Kind) && e.key[1:e.ids] == r.ID
}

// tenant is the brief's; empty if there is none.
func (e *entry) tenant() string { return e.key[e.ids:] }

func (e *entry) facts() facts {
	f := facts{seq: e.seq}
	if e.history != nil {
		f.history = *e.history
	} else {
		f.Tenant, f.Last = e.tenant(), e.last
	}
	return f
}

// owner is facts.owner, which is asked once for each ledger. Where no move of a
// whole tenant matters, as for nearly all, the answer is one that all share.
func (e *entry) owner(cert *certificate) (owner string, ok bool) {
	known := e.fold.Load()
	if known == nil || known.by != cert.unmoved {
		f := e.facts()
		if owner, ok = f.owner(cert.ledger); !ok {
			return "", false
		}
		known = cert.unmoved
		if owner != e.tenant() {
			known = &fold{by: cert.unmoved, owner: owner}
		}
		e.fold.Store(known)
	}
	if known.owner == "" {
		return e.tenant(), true
	}
	return known.owner, true
}

func (e *entry) size() int64 {
	size := entrySize + int64(len(e.key))
	if e.history != nil {
		size += historySize(*e.history)
	}
	return size
}

func historySize(h ownership.History) int64 {
	const entry = 128
	var size int64
	for _, e := range h {
		size += entry + int64(len(e.Source)+len(e.ID)+len(e.Tenant)+len(e.From)+len(e.To))
	}
	return size
}

// lookup returns what is known of a resource, or nil. Without the lock it may
// miss an entry while others come and go. It never finds one that was taken out
// before it was called: the chains that begin in the buckets do not lead there.
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

// put keeps what a read saw, unless what is there was read later. It, as all
// that follows, is called with the lock held.
func (s *shard) put(hash uint64, r registry.Resource, f facts, read time.Duration) {
	if before := s.lookup(hash, r); before != nil && before.read > read {
		return
	}
	s.remove(hash, r)
	e := &entry{
		key: string(kindByte(r.Kind)) + r.ID + f.Tenant, ids: uint16(len(r.ID) + 1),
		last: f.Last, read: read, seq: f.seq,
	}
	e.arrived.Store(uint32(f.seq))
	if f.history != nil {
		e.history = &f.history
		if historySize(f.history) > mostHistory {
			return
		}
	}
	size := e.size()
	if size > s.mostSize {
		return
	}
	for s.entries > 0 && (s.entries >= s.most || s.bytes+size > s.mostSize) {
		s.evict()
	}
	if n := len(*s.buckets.Load()); s.entries >= n {
		s.resize(max(4, 2*n))
	}
	s.buckets.Load().push(hash, e)
	s.entries++
	s.bytes += size
}

func (b *buckets) push(hash uint64, e *entry) {
	bucket := &(*b)[hash&uint64(len(*b)-1)]
	e.next.Store(bucket.Load())
	bucket.Store(e)
}

// resize moves the entries into other chains. A reader that walks one without the
// lock goes on in another; all of them end, and none leads to what was taken out.
func (s *shard) resize(n int) {
	resized, before := make(buckets, n), *s.buckets.Load()
	for i := range before {
		for e := before[i].Load(); e != nil; {
			next := e.next.Load()
			resized.push(maphash.String(s.seed, e.key[1:e.ids]), e)
			e = next
		}
	}
	s.buckets.Store(&resized)
}

func (s *shard) remove(hash uint64, r registry.Resource) {
	b := *s.buckets.Load()
	if len(b) == 0 {
		return
	}
	for at := &b[hash&uint64(len(b)-1)]; at.Load() != nil; at = &at.Load().next {
		if at.Load().is(r) {
			s.unlink(at)
			return
		}
	}
}

// unlink takes out the entry that a place in a chain leads to.
func (s *shard) unlink(at *atomic.Pointer[entry]) {
	e := at.Load()
	s.bytes -= e.size()
	s.entries--
	at.Store(e.next.Load())
}

// evict makes room: the hand goes round and takes an entry that was not used
// since it came by, of one chain the oldest; or any, where in a whole round all
// were. There must be one.
func (s *shard) evict() {
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
			s.unlink(unused)
			return
		}
	}
}
