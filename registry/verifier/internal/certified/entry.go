package certified

import (
	"sync/atomic"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// entry is one cached history, packed: a million of them must fit. The fields that
// a check rests on never change; a later read makes another entry.
type entry struct {
	key  string        // kind, id and, for a brief, the tenant, in one text
	read time.Duration // when its read was sent, since the cache began
	next atomic.Pointer[entry]
	used atomic.Bool // since the hand last passed
	due  atomic.Bool // it is being read again
	era  uint32      // of the ledger that was read with it
	ids  uint16      // length of kind and id

	// The owner by the last ledger that was asked for, so that it is folded once
	// for each ledger. Nearly always no move of a whole tenant matters, and unmoved
	// says so: it is the generation of the certificate by which the brief's tenant
	// still owns the resource. If there was such a move, moved has the owner.
	unmoved atomic.Uint64
	moved   atomic.Pointer[cachedOwner]

	history  *ownership.History // nil: a brief
	last     int64              // of the brief
	position int64              // of the ledger that was read with it
}

// cachedOwner is the owner of a resource by the ledger of a generation.
type cachedOwner struct {
	generation uint64
	owner      string
}

// entrySize is about what an entry takes beside its text: the entry, its place in a
// bucket, and unused room in both. (If the resource has moved with its tenant, the
// owner takes some thirty bytes more.)
const entrySize = 100

// mostHistory is the size above which a history is not kept.
const mostHistory = 16 << 10

func newEntry(r registry.Resource, f facts, read time.Duration, era uint32) *entry {
	e := &entry{
		key: string(kindByte(r.Kind)) + r.ID + f.Tenant, ids: uint16(len(r.ID) + 1),
		last: f.Last, read: read, position: f.position, era: era,
	}
	if f.history != nil {
		e.history = &f.history
	}
	return e
}

// kindByte stands for a kind in an entry's key; 0 for any that is unknown.
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

// id returns the kind and id, which are hashed.
func (e *entry) id() string { return e.key[1:e.ids] }

// tenant returns the brief's tenant; empty if there is no brief.
func (e *entry) tenant() string { return e.key[e.ids:] }

func (e *entry) facts() facts {
	f := facts{position: e.position}
	if e.history != nil {
		f.history = *e.history
	} else {
		f.Tenant, f.Last = e.tenant(), e.last
	}
	return f
}

// owner is facts.owner by the certificate's ledger, folded once for each ledger. It
// never relies on a resource having no owner: that is read. A certificate of another era
// says nothing of the entry.
func (e *entry) owner(cert *certificate) (owner string, ok bool) {
	if e.era != cert.era {
		return "", false
	}
	if e.unmoved.Load() == cert.generation {
		return e.tenant(), true
	}
	if m := e.moved.Load(); m != nil && m.generation == cert.generation {
		return m.owner, true
	}
	f := e.facts()
	if owner, ok = f.owner(cert.ledger); !ok || owner == "" {
		return "", false
	}
	if owner == e.tenant() {
		e.unmoved.Store(cert.generation)
	} else {
		e.moved.Store(&cachedOwner{cert.generation, owner})
	}
	return owner, true
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
