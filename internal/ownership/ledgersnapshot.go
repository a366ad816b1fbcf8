package ownership

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/tidwall/btree"
)

// Ledger is a snapshot of all moves of whole tenants, at one position. It is
// immutable and safe for concurrent use. A nil *Ledger is the empty ledger at
// position 0.
//
// Ledgers at different positions share what they have in common: what changes
// costs the logarithm of what there is (see With).
type Ledger struct {
	position int64
	entries  *entryTrees
	unread   []LedgerEntry // those that are not understood, in version order
}

// entryTrees are the entries that are understood. Nobody changes an entry.
type entryTrees struct {
	byName     *btree.BTreeG[*LedgerEntry]
	byPosition *btree.BTreeG[*LedgerEntry]
	byFrom     *btree.Map[string, []*LedgerEntry] // those that count, in version order

	sharing sync.Mutex // held while the trees are copied, which marks their nodes as shared
}

func newEntryTrees() *entryTrees {
	alone := btree.Options{NoLocks: true} // only a tree that nobody else knows is written
	return &entryTrees{
		byName:     btree.NewBTreeGOptions(byName, alone),
		byPosition: btree.NewBTreeGOptions(byPosition, alone),
		byFrom:     &btree.Map[string, []*LedgerEntry]{},
	}
}

func byName(a, b *LedgerEntry) bool { return compareNames(a, b) < 0 }

func compareNames(a, b *LedgerEntry) int {
	return cmp.Or(strings.Compare(a.Source, b.Source), strings.Compare(a.ID, b.ID))
}

func byPosition(a, b *LedgerEntry) bool {
	if a.Position != b.Position {
		return a.Position < b.Position
	}
	return byName(a, b)
}

// NewLedger makes a snapshot at position from entries in any order, of which
// no two have one name.
func NewLedger(position int64, entries []LedgerEntry) *Ledger {
	return (*Ledger)(nil).With(position, entries)
}

// With returns the ledger at a later position, with the entries that have changed
// since. Each costs the logarithm of the number of entries.
func (l *Ledger) With(position int64, changed []LedgerEntry) *Ledger {
	if l == nil {
		l = &Ledger{entries: newEntryTrees()}
	}
	next := &Ledger{position: position, entries: l.entries, unread: l.unread}
	if len(changed) == 0 {
		return next
	}
	next.entries = l.entries.copy()
	inOrder := make([]*LedgerEntry, len(changed)) // many are put much faster so
	for i := range changed {
		inOrder[i] = &changed[i]
	}
	slices.SortStableFunc(inOrder, func(a, b *LedgerEntry) int { return compareNames(a, b) })
	for _, e := range inOrder {
		next.entries.put(e)
	}
	if len(l.unread) > 0 || slices.ContainsFunc(changed, isUnread) {
		next.unread = unreadWith(l.unread, changed)
	}
	return next
}

// unreadWith returns the entries that are not understood any more, or still.
func unreadWith(before, changed []LedgerEntry) []LedgerEntry {
	known := func(e LedgerEntry) bool {
		return slices.ContainsFunc(changed, func(c LedgerEntry) bool { return c.EventName() == e.EventName() })
	}
	all := slices.DeleteFunc(slices.Clone(before), known)
	for _, e := range changed {
		if isUnread(e) {
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, inVersionOrder)
	return all
}

func (t *entryTrees) copy() *entryTrees {
	t.sharing.Lock()
	defer t.sharing.Unlock()
	return &entryTrees{byName: t.byName.Copy(), byPosition: t.byPosition.Copy(), byFrom: t.byFrom.Copy()}
}

// put takes an entry in place of the one of its name, if there is one. An entry
// that is not understood takes it away.
func (t *entryTrees) put(e *LedgerEntry) {
	if before, ok := t.byName.Delete(e); ok {
		t.byPosition.Delete(before)
		if before.Counts() {
			t.forget(before)
		}
	}
	if e.Unread != nil {
		return
	}
	own := *e // the caller's may change
	t.byName.Set(&own)
	t.byPosition.Set(&own)
	if own.Counts() {
		moves, _ := t.byFrom.Get(own.From)
		i, _ := slices.BinarySearchFunc(moves, own.Version, versionOf)
		t.byFrom.Set(strings.Clone(own.From), slices.Insert(slices.Clone(moves), i, &own))
	}
}

// forget takes a move out of those that count.
func (t *entryTrees) forget(e *LedgerEntry) {
	moves, _ := t.byFrom.Get(e.From)
	i, found := slices.BinarySearchFunc(moves, e.Version, versionOf)
	switch {
	case found && len(moves) == 1:
		t.byFrom.Delete(e.From)
	case found:
		t.byFrom.Set(e.From, slices.Delete(slices.Clone(moves), i, i+1))
	}
}

func versionOf(e *LedgerEntry, v Version) int { return e.Version.Compare(v) }

// Position grows by one with every change to the ledger, in the
// order in which the changes were committed.
func (l *Ledger) Position() int64 {
	if l == nil {
		return 0
	}
	return l.position
}

// Entries returns all entries in version order, retracted ones too. It costs a
// copy of all.
func (l *Ledger) Entries() []LedgerEntry {
	if l == nil {
		return nil
	}
	if l.entries.byName.Len()+len(l.unread) == 0 {
		return nil
	}
	all := make([]LedgerEntry, 0, l.entries.byName.Len()+len(l.unread))
	l.entries.byName.Scan(func(e *LedgerEntry) bool {
		all = append(all, *e)
		return true
	})
	all = append(all, l.unread...)
	slices.SortFunc(all, inVersionOrder)
	return all
}

// Between returns the ledger at a position between l's and that of a later
// ledger, and reports whether it follows from the two. It does not if an entry
// has changed up to the position, and again behind it: the later ledger has only
// what came of both.
func (l *Ledger) Between(position int64, later *Ledger) (*Ledger, bool) {
	var changed []LedgerEntry
	if later != nil {
		if slices.ContainsFunc(later.unread, func(e LedgerEntry) bool { return e.Position > l.Position() && e.Position <= position }) {
			return nil, false // who knows which position it has
		}
		later.entries.byPosition.Ascend(&LedgerEntry{Position: l.Position() + 1}, func(e *LedgerEntry) bool {
			if e.Position <= position {
				changed = append(changed, *e)
			}
			return e.Position < position
		})
	}
	// Each change has a position of its own, so if all positions are there, no
	// change is hidden by a later one.
	if int64(len(changed)) != position-l.Position() {
		return nil, false
	}
	return l.With(position, changed), true
}

// moves returns the entries that count and move away from a tenant, in version
// order.
func (l *Ledger) moves(from string) []*LedgerEntry {
	if l == nil {
		return nil
	}
	moves, _ := l.entries.byFrom.Get(from)
	return moves
}

// next returns the first entry that counts, moves away from the tenant, and has
// a version ≥ at (> at if after is set); nil if there is none.
func (l *Ledger) next(from string, at Version, after bool) *LedgerEntry {
	moves := l.moves(from)
	if len(moves) == 0 {
		return nil
	}
	i, found := slices.BinarySearchFunc(moves, at, versionOf)
	if found && after {
		i++
	}
	if i == len(moves) {
		return nil
	}
	return moves[i]
}

func isUnread(e LedgerEntry) bool { return e.Unread != nil }

func inVersionOrder(a, b LedgerEntry) int { return a.Version.Compare(b.Version) }
