package verifier

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
)

// shard is a part of the cache.
type shard struct {
	mu       sync.Mutex
	voids    uint64           // grows with everything that becomes void
	index    map[uint64]int32 // hash to place in slots
	slots    []slot           // dense
	hand     int              // of the clock that finds what to evict
	bytes    int64
	most     int   // slots
	mostSize int64 // bytes
	watches  map[registry.Resource]*watch

	threadHits, canvasHits atomic.Int64
}

// slot is one cached history, packed: a million of them must fit.
type slot struct {
	key     string // kind, id and, for a brief, the tenant, in one text
	hash    uint64
	ids     uint16 // length of kind and id
	used    bool   // since the hand came by
	arrived uint32 // see facts
	last    int64  // of the brief
	read    time.Duration
	seq     int64
	history *registry.History // nil: a brief
}

// slotSize is about what a slot takes beside its text: itself, its place in the
// index, and the room that both keep to grow.
const slotSize = 100

// mostHistory is the size of a history above which it is not kept.
const mostHistory = 16 << 10

func (s *shard) init(most int, bytes int64) {
	s.most, s.mostSize = most, bytes
	s.clear()
	s.watches = map[registry.Resource]*watch{}
}

func (s *shard) clear() {
	s.index, s.slots, s.hand, s.bytes = map[uint64]int32{}, nil, 0, 0
}

// kindByte stands for a kind in a slot's key; 0 for what is none.
func kindByte(k registry.Kind) byte {
	switch k {
	case registry.Thread, registry.Canvas:
		return k[0]
	}
	return 0
}

func (t *slot) is(r registry.Resource) bool {
	return int(t.ids) == len(r.ID)+1 && t.key[0] == kindByte(r.Kind) && t.key[1:t.ids] == r.ID
}

func (t *slot) size() int64 {
	size := slotSize + int64(len(t.key))
	if t.history != nil {
		size += historySize(*t.history)
	}
	return size
}

func historySize(h registry.History) int64 {
	const entry = 128
	var size int64
	for _, e := range h {
		size += entry + int64(len(e.Source)+len(e.ID)+len(e.Tenant)+len(e.From)+len(e.To))
	}
	return size
}

// lookup returns what is known, and when the read of it was sent. It, as all
// that follows, is called with the lock held.
func (s *shard) lookup(hash uint64, r registry.Resource) (f facts, read time.Duration, ok bool) {
	i, ok := s.index[hash]
	if !ok || !s.slots[i].is(r) {
		return facts{}, 0, false
	}
	t := &s.slots[i]
	t.used = true
	f.seq, f.arrived = t.seq, t.arrived
	if t.history != nil {
		f.history = *t.history
	} else {
		f.Tenant, f.Last = t.key[t.ids:], t.last
	}
	return f, t.read, true
}

// noteArrived takes note that who came to own the resource with the ledger has
// been recorded.
func (s *shard) noteArrived(hash uint64, r registry.Resource, seq int64) {
	if i, ok := s.index[hash]; ok && s.slots[i].is(r) {
		s.slots[i].arrived = uint32(seq)
	}
}

func (s *shard) put(hash uint64, r registry.Resource, f facts, read time.Duration) {
	if i, ok := s.index[hash]; ok {
		if s.slots[i].is(r) && s.slots[i].read > read {
			return // what is there was read later
		}
		s.removeAt(i)
	}
	t := slot{
		hash: hash,
		key:  string(kindByte(r.Kind)) + r.ID + f.Tenant, ids: uint16(len(r.ID) + 1),
		last: f.Last, read: read, seq: f.seq, arrived: uint32(f.seq),
	}
	if f.history != nil {
		t.history = &f.history
		if historySize(f.history) > mostHistory {
			return
		}
	}
	size := t.size()
	for len(s.slots) > 0 && (len(s.slots) >= s.most || s.bytes+size > s.mostSize) {
		s.evict()
	}
	if size > s.mostSize {
		return
	}
	s.index[hash] = int32(len(s.slots))
	s.slots = append(s.slots, t)
	s.bytes += size
}

func (s *shard) remove(hash uint64, r registry.Resource) {
	if i, ok := s.index[hash]; ok && s.slots[i].is(r) {
		s.removeAt(i)
	}
}

// removeAt moves the last slot into the gap.
func (s *shard) removeAt(i int32) {
	s.bytes -= s.slots[i].size()
	delete(s.index, s.slots[i].hash)
	last := int32(len(s.slots) - 1)
	if i != last {
		s.slots[i] = s.slots[last]
		s.index[s.slots[i].hash] = i
	}
	s.slots[last] = slot{}
	s.slots = s.slots[:last]
}

// evict makes room: the hand goes round and takes the first slot that was not
// used since it came by.
func (s *shard) evict() {
	for {
		if s.hand >= len(s.slots) {
			s.hand = 0
		}
		if t := &s.slots[s.hand]; t.used {
			t.used = false
			s.hand++
			continue
		}
		s.removeAt(int32(s.hand))
		return
	}
}
