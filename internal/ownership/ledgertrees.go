package ownership

import (
	"cmp"
	"slices"
	"sync"

	"github.com/tidwall/btree"
)

// mostRecent is how many changes a ledger remembers in the order of their
// positions.
const mostRecent = 10_000

// moveTrees are the moves that are understood, those that do not count too.
type moveTrees struct {
	byName     *btree.BTreeG[*packedMove]
	byPosition *btree.BTreeG[*packedMove] // those that have changed last: mostRecent
	byFrom     *btree.BTreeG[*packedMove] // those that count

	sharing sync.Mutex // held while the trees are copied, which marks their nodes as shared
}

func newMoveTrees() *moveTrees {
	alone := btree.Options{NoLocks: true} // only an unshared tree is written
	return &moveTrees{
		byName:     btree.NewBTreeGOptions(byName, alone),
		byPosition: btree.NewBTreeGOptions(byPosition, alone),
		byFrom:     btree.NewBTreeGOptions(byFrom, alone),
	}
}

func (t *moveTrees) copy() *moveTrees {
	t.sharing.Lock()
	defer t.sharing.Unlock()
	return &moveTrees{byName: t.byName.Copy(), byPosition: t.byPosition.Copy(), byFrom: t.byFrom.Copy()}
}

// putAll takes moves, each in place of the one of its name, if there is one; of
// several with one name the last. It changes the order of moves.
func (t *moveTrees) putAll(moves []*packedMove) {
	byNameThenPosition := func(a, b *packedMove) int { return cmp.Or(compareNames(a, b), cmp.Compare(a.position, b.position)) }
	sameName := func(a, b *packedMove) bool { return compareNames(a, b) == 0 }
	slices.SortFunc(moves, byNameThenPosition)
	slices.Reverse(moves)
	moves = slices.CompactFunc(moves, sameName)
	slices.Reverse(moves)
	load(t.byName, moves, t.forget)

	slices.SortFunc(moves, compareFrom)
	load(t.byFrom, slices.DeleteFunc(slices.Clone(moves), func(m *packedMove) bool { return !m.counts() }), nil)

	recent := moves
	if len(moves) > mostRecent {
		slices.SortFunc(moves, func(a, b *packedMove) int { return cmp.Compare(a.position, b.position) })
		recent = moves[len(moves)-mostRecent:]
	}
	load(t.byPosition, recent, nil)
	for t.byPosition.Len() > mostRecent {
		t.byPosition.PopMin()
	}
}

// load puts moves that are in order into a tree, and calls replaced for each that
// another one has taken the place of. A tree splits a full node into halves, and
// what comes in order never fills the lower one: so it puts each other move first,
// and has the rest fill the halves.
func load(tree *btree.BTreeG[*packedMove], moves []*packedMove, replaced func(*packedMove)) {
	for first := range 2 {
		for i := first; i < len(moves); i += 2 {
			if before, ok := tree.Load(moves[i]); ok && replaced != nil {
				replaced(before)
			}
		}
	}
}

// remove takes the move of a name away, if there is one.
func (t *moveTrees) remove(name EventName) {
	if before, ok := t.byName.Delete(pack([]Move{{Version: Version{Source: name.Source, ID: name.ID}}})[0]); ok {
		t.forget(before)
	}
}

func (t *moveTrees) forget(before *packedMove) {
	t.byPosition.Delete(before)
	if before.counts() {
		t.byFrom.Delete(before)
	}
}

// probes are keys to look for in byFrom: a look allocates nothing.
var probes = sync.Pool{New: func() any { return new(packedMove) }}

// mostTied is how many moves of one tenant and one time are looked through.
const mostTied = 16

// next returns the first move away from the tenant that has a version ≥ at (> at
// if after is set); nil if there is none.
func (t *moveTrees) next(from string, at Version, after bool) (found *packedMove) {
	probe := probes.Get().(*packedMove)
	*probe = packedMove{texts: from, from: uint8(len(from)), seconds: at.Time.Unix(), nanos: int32(at.Time.Nanosecond()), state: lowest}
	tied := 0
	t.byFrom.Ascend(probe, func(m *packedMove) bool {
		if m.fromTenant() != from {
			return false
		}
		if order := m.version().Compare(at); order > 0 || order == 0 && !after {
			found = m
			return false
		}
		tied++
		return tied < mostTied
	})
	probes.Put(probe)
	if tied == mostTied {
		return t.nextAmongMany(from, at, after)
	}
	return found
}

// nextAmongMany is next for more moves of one time than are looked through.
func (t *moveTrees) nextAmongMany(from string, at Version, after bool) (found *packedMove) {
	probe := pack([]Move{{Version: at, From: from}})[0]
	t.byFrom.Ascend(probe, func(m *packedMove) bool {
		if after && compareFrom(m, probe) == 0 {
			return true
		}
		if m.fromTenant() == from {
			found = m
		}
		return false
	})
	return found
}
