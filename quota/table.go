package quota

import (
	"hash/maphash"
	"iter"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
)

// shards is the number of locks. A power of two.
const shards = 256

// table holds the block of every key that was asked for lately. It is a hash
// table of our own, because a million keys in a map of Go's cost half as much
// memory again, and because it is read without a lock: everybody's requests find
// their entries while others come and go.
type table struct {
	seed   maphash.Seed
	shards [shards]shard
}

// shard is a part of the table. Its lock is for changes of anything but the units
// of a block.
type shard struct {
	buckets atomic.Pointer[buckets]

	mu      sync.Mutex
	n       int
	flights map[*entry]*flight // calls of the store under way
	failing map[*entry]*tries  // that a key has left; of those whose calls fail
	tallies []tally            // by label
	closed  bool               // no flight begins any more
}

// buckets are chains by hash; a power of two of them, or none.
type buckets []atomic.Pointer[entry]

// entry is 96 bytes, and 48 more where it has a purse. The block is guarded by
// the shard's lock.
type entry struct {
	block
	name  string // tenant, a zero byte, action: neither has a zero byte
	next  atomic.Pointer[entry]
	purse atomic.Pointer[purse]
}

func newTable() *table {
	t := &table{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].flights = map[*entry]*flight{}
		t.shards[i].failing = map[*entry]*tries{}
		t.shards[i].buckets.Store(&buckets{})
	}
	return t
}

func (t *table) hash(tenant, action string) uint64 {
	h := maphash.String(t.seed, tenant) ^ bits.RotateLeft64(maphash.String(t.seed, action), 32)
	return h * 0x9e3779b97f4a7c15
}

func (t *table) shard(hash uint64) *shard { return &t.shards[hash>>56] }

// find returns the entry of a key, or nil. It is exact for any two strings: only
// valid names are ever inserted. Without the lock it may miss an entry while
// others are inserted or dropped.
func (s *shard) find(hash uint64, tenant, action string) *entry {
	b := *s.buckets.Load()
	if len(b) == 0 {
		return nil
	}
	e := b[hash&uint64(len(b)-1)].Load()
	for e != nil && !e.is(tenant, action) {
		e = e.next.Load()
	}
	return e
}

func (e *entry) is(tenant, action string) bool {
	return len(e.name) == len(tenant)+1+len(action) &&
		e.name[len(tenant)] == 0 &&
		e.name[:len(tenant)] == tenant &&
		e.name[len(tenant)+1:] == action
}

func (e *entry) key() Key {
	tenant, action, _ := strings.Cut(e.name, "\x00")
	return Key{tenant, action}
}

// insert adds an entry for a key that has none. It, as all that follows, is
// called with the shard's lock held.
func (t *table) insert(s *shard, hash uint64, key Key) *entry {
	if n := len(*s.buckets.Load()); s.n >= n {
		t.resize(s, max(4, 2*n))
	}
	e := &entry{name: key.Tenant + "\x00" + key.Action}
	s.buckets.Load().push(hash, e)
	s.n++
	return e
}

func (b *buckets) push(hash uint64, e *entry) {
	bucket := &(*b)[hash&uint64(len(*b)-1)]
	e.next.Store(bucket.Load())
	bucket.Store(e)
}

// resize moves the entries into other chains. A reader that walks one without the
// lock goes on in another; all of them end.
func (t *table) resize(s *shard, n int) {
	resized := make(buckets, n)
	for e := range s.entries() {
		key := e.key()
		resized.push(t.hash(key.Tenant, key.Action), e)
	}
	s.buckets.Store(&resized)
}

// entries yields every entry; the loop may move the one that it is given.
func (s *shard) entries() iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		b := *s.buckets.Load()
		for i := range b {
			for e := b[i].Load(); e != nil; {
				next := e.next.Load()
				if !yield(e) {
					return
				}
				e = next
			}
		}
	}
}

// filter keeps the entries that keep says, and shrinks the shard with them. What
// a dropped entry had can be taken by nobody any more.
func (t *table) filter(s *shard, keep func(*entry) bool) {
	b := *s.buckets.Load()
	for i := range b {
		for at := &b[i]; at.Load() != nil; {
			e := at.Load()
			if keep(e) {
				at = &e.next
				continue
			}
			s.takeBack(e)
			delete(s.failing, e)
			at.Store(e.next.Load())
			s.n--
		}
	}
	if s.n == 0 {
		s.buckets.Store(&buckets{})
	} else if s.n < len(b)/4 {
		t.resize(s, len(b)/2)
	}
}
