package quota

import (
	"hash/maphash"
	"math/bits"
	"strings"
	"sync"
)

// shards is the number of locks. A power of two.
const shards = 256

// table holds the block of every key that was asked for lately. It is a hash
// table of our own, because a million keys in a map of Go's cost half as much
// memory again.
type table struct {
	seed   maphash.Seed
	shards [shards]shard
}

type shard struct {
	mu      sync.Mutex
	buckets []*entry // chains by hash
	n       int
	flights map[*entry]*flight // calls of the store under way
	tallies []tally            // by label
	closed  bool               // no flight begins any more
	_       [64]byte           // no two shards share a cache line
}

// entry is 96 bytes; a field more makes it 112.
type entry struct {
	block
	name  string // tenant, a zero byte, action: neither has a zero byte
	next  *entry
	label uint16 // of the action, see labels
}

func newTable() *table {
	t := &table{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].flights = map[*entry]*flight{}
	}
	return t
}

func (t *table) hash(tenant, action string) uint64 {
	h := maphash.String(t.seed, tenant) ^ bits.RotateLeft64(maphash.String(t.seed, action), 32)
	return h * 0x9e3779b97f4a7c15
}

func (t *table) shard(hash uint64) *shard { return &t.shards[hash>>56] }

// find returns the entry of a key, or nil. It is exact for any two strings:
// only valid names are ever inserted.
func (s *shard) find(hash uint64, tenant, action string) *entry {
	if len(s.buckets) == 0 {
		return nil
	}
	e := s.buckets[hash&uint64(len(s.buckets)-1)]
	for e != nil && !e.is(tenant, action) {
		e = e.next
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

// insert adds an entry for a key that has none.
func (t *table) insert(s *shard, hash uint64, key Key, label uint16) *entry {
	if s.n >= len(s.buckets) {
		t.resize(s, max(4, 2*len(s.buckets)))
	}
	e := &entry{name: key.Tenant + "\x00" + key.Action, label: label}
	s.push(hash, e)
	s.n++
	return e
}

func (s *shard) push(hash uint64, e *entry) {
	bucket := &s.buckets[hash&uint64(len(s.buckets)-1)]
	e.next, *bucket = *bucket, e
}

func (t *table) resize(s *shard, buckets int) {
	before := s.buckets
	s.buckets = make([]*entry, buckets)
	for _, e := range before {
		for e != nil {
			next := e.next
			key := e.key()
			s.push(t.hash(key.Tenant, key.Action), e)
			e = next
		}
	}
}

// filter keeps the entries that keep says, and shrinks the shard with them.
func (t *table) filter(s *shard, keep func(*entry) bool) {
	for i := range s.buckets {
		for at := &s.buckets[i]; *at != nil; {
			if keep(*at) {
				at = &(*at).next
				continue
			}
			*at = (*at).next
			s.n--
		}
	}
	if s.n == 0 {
		s.buckets = nil
	} else if s.n < len(s.buckets)/4 {
		t.resize(s, len(s.buckets)/2)
	}
}
