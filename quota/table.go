package quota

import (
	"hash/maphash"
	"iter"
	"math/bits"
	"strings"
	"sync"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// shards is the number of locks. A power of two.
const shards = 256

// table holds the block of every key that was used lately. All keys of a tenant are
// in one shard, so that a request takes units of the tenant's total and of its
// action's window under one lock. It is a hash table of our own, since a million
// keys in a map of Go's take 190 MB, and 130 MB here.
type table struct {
	seed   maphash.Seed
	shards [shards]shard
}

// shard is a part of the table. Its lock guards everything in it, including the
// blocks and flights, and is not held during a call of the store.
type shard struct {
	mu      sync.Mutex
	buckets []*entry           // chains by hash; a power of two of them, or none
	n       int                // entries
	flights map[*entry]*flight // calls of the store under way
	failing map[*entry]*tries  // that a key has left; of those whose calls fail
	tallies []tally            // by label
	closed  bool               // no flight begins any more
	_       [64]byte           // a cache line: else cores that use two shards wait for each other
}

// entry is 96 bytes.
type entry struct {
	block
	name string // tenant, a zero byte, action: neither has a zero byte
	next *entry
}

func newTable() *table {
	t := &table{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].flights, t.shards[i].failing = map[*entry]*flight{}, map[*entry]*tries{}
	}
	return t
}

// shard returns the shard of a key, and the key's hash in there.
func (t *table) shard(key limits.Key) (*shard, uint64) {
	tenant := maphash.String(t.seed, key.Tenant)
	hash := tenant ^ bits.RotateLeft64(maphash.String(t.seed, key.Action), 32)
	return &t.shards[tenant%shards], hash * 0x9e3779b97f4a7c15 >> 32
}

// findLocked returns the entry of a key, or nil. It is exact for any two strings:
// only valid names are ever inserted.
func (s *shard) findLocked(hash uint64, key limits.Key) *entry {
	if len(s.buckets) == 0 {
		return nil
	}
	e := s.buckets[hash&uint64(len(s.buckets)-1)]
	for e != nil && !e.is(key) {
		e = e.next
	}
	return e
}

func (e *entry) is(key limits.Key) bool {
	n := len(key.Tenant)
	return len(e.name) == n+1+len(key.Action) && e.name[n] == 0 && e.name[:n] == key.Tenant && e.name[n+1:] == key.Action
}

func (e *entry) key() limits.Key {
	tenant, action, _ := strings.Cut(e.name, "\x00")
	return limits.Key{Tenant: tenant, Action: action}
}

// entryLocked returns the entry of a key, a new one if there is none.
func (t *table) entryLocked(s *shard, hash uint64, key limits.Key) *entry {
	e := s.findLocked(hash, key)
	if e == nil {
		if s.n >= len(s.buckets) {
			t.resizeLocked(s, max(4, 2*len(s.buckets)))
		}
		e = &entry{name: key.Tenant + "\x00" + key.Action}
		s.pushLocked(hash, e)
		s.n++
	}
	return e
}

func (s *shard) pushLocked(hash uint64, e *entry) {
	bucket := &s.buckets[hash&uint64(len(s.buckets)-1)]
	e.next, *bucket = *bucket, e
}

func (t *table) resizeLocked(s *shard, n int) {
	before := s.buckets
	s.buckets = make([]*entry, n)
	for e := range entries(before) {
		_, hash := t.shard(e.key())
		s.pushLocked(hash, e)
	}
}

// entries yields every entry; the loop may move the one that it is given.
func entries(buckets []*entry) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for _, e := range buckets {
			for e != nil {
				next := e.next
				if !yield(e) {
					return
				}
				e = next
			}
		}
	}
}

// filterLocked drops the entries for which keep is false, and shrinks the shard.
func (t *table) filterLocked(s *shard, keep func(*entry) bool) {
	for i := range s.buckets {
		for at := &s.buckets[i]; *at != nil; {
			e := *at
			if keep(e) {
				at = &e.next
				continue
			}
			delete(s.failing, e)
			*at = e.next
			s.n--
		}
	}
	if s.n == 0 {
		s.buckets = nil
	} else if n := len(s.buckets); s.n < n/4 {
		t.resizeLocked(s, n/2)
	}
}
