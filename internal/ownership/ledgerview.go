package ownership

import (
	"iter"
	"slices"
	"time"
)

// Ledger is a snapshot of all moves of whole tenants, at one position of one epoch.
// It is immutable and safe for concurrent use. A nil *Ledger is the empty ledger at
// position 0 of a registry that has none yet.
//
// Positions count the changes of one epoch. A registry that was restored counts on
// from an earlier position, so the same number may stand for another ledger there.
// Operators give it another epoch (registry-worker recover): ledgers of two epochs
// have nothing to do with one another, and neither follows from the other.
//
// Ledgers at different positions share what they have in common: what changes
// costs the logarithm of what there is (see With). An entry takes some 80 bytes,
// and the texts of its event's id and its two tenants.
type Ledger struct {
	epoch    string
	position int64
	moves    *moveTrees
	unread   []LedgerEntry     // those that are not understood, in version order
	aliases  map[string]string // tenants that are being erased; nil for none
}

// Epoch is where a ledger is, as it is stored.
type Epoch struct {
	Name     string    // "" if an earlier release has made the head
	Since    time.Time // by the store's clock; zero if the head does not say
	Position int64
}

// NewLedger makes a snapshot at position position from entries in any order, of which
// no two have one name.
func NewLedger(position int64, entries []LedgerEntry) *Ledger {
	return (*Ledger)(nil).With(position, entries)
}

// With returns the ledger at a later position, with the entries that have changed
// since. Each costs the logarithm of the number of entries.
func (l *Ledger) With(position int64, changed []LedgerEntry) *Ledger {
	var unread []LedgerEntry
	for _, e := range changed {
		if e.Unread != nil {
			unread = append(unread, e)
		}
	}
	return l.with(position, pack(moves(changed)), unread)
}

// with is With for moves, whose order it changes, and entries that are not
// understood.
func (l *Ledger) with(position int64, changed []*packedMove, unread []LedgerEntry) *Ledger {
	if l == nil {
		l = &Ledger{moves: newMoveTrees()}
	}
	next := &Ledger{epoch: l.epoch, position: position, moves: l.moves, unread: l.unread, aliases: l.aliases}
	if len(changed)+len(unread) == 0 {
		return next
	}
	next.moves = l.moves.copy()
	erasure := slices.ContainsFunc(changed, (*packedMove).ofErasure)
	next.moves.putAll(changed)
	if erasure {
		next.aliases = next.moves.aliases()
	}
	for _, e := range unread {
		next.moves.remove(e.EventName())
	}
	if len(l.unread)+len(unread) > 0 {
		next.unread = unreadWith(l.unread, changed, unread)
	}
	return next
}

// unreadWith returns the entries that are not understood any more, or still.
func unreadWith(before []LedgerEntry, changed []*packedMove, unread []LedgerEntry) []LedgerEntry {
	now := map[EventName]bool{}
	for _, m := range changed {
		now[m.version().EventName()] = true
	}
	for _, e := range unread {
		now[e.EventName()] = true
	}
	all := slices.DeleteFunc(slices.Clone(before), func(e LedgerEntry) bool { return now[e.EventName()] })
	all = append(all, unread...)
	slices.SortStableFunc(all, func(a, b LedgerEntry) int { return a.Version.Compare(b.Version) })
	return all
}

// Position grows by one with every change to the ledger, in the order in which the
// changes were committed, within an epoch.
func (l *Ledger) Position() int64 {
	if l == nil {
		return 0
	}
	return l.position
}

// Epoch is in which positions are counted: "" in a registry whose head an earlier
// release has made.
func (l *Ledger) Epoch() string {
	if l == nil {
		return ""
	}
	return l.epoch
}

// InEpoch returns the ledger as one of an epoch.
func (l *Ledger) InEpoch(epoch string) *Ledger {
	next := Ledger{moves: newMoveTrees()}
	if l != nil {
		next = *l
	}
	next.epoch = epoch
	return &next
}

// SameEpoch reports whether the positions of two ledgers can be compared. Those of any
// epoch may follow the ledger that a registry did not have yet.
func (l *Ledger) SameEpoch(as *Ledger) bool {
	return l == nil || as == nil || l.epoch == as.epoch
}

// Len is how many entries are understood.
func (l *Ledger) Len() int {
	if l == nil {
		return 0
	}
	return l.moves.byName.Len()
}

// Moves yields the entries that are understood, in the order of their names,
// retracted ones too.
func (l *Ledger) Moves() iter.Seq[Move] {
	return func(yield func(Move) bool) {
		if l != nil {
			l.moves.byName.Scan(func(m *packedMove) bool { return yield(m.unpacked()) })
		}
	}
}

// Counting yields the moves that count, in the order of the tenants that they are
// away from, those of a tenant in version order.
func (l *Ledger) Counting() iter.Seq[Move] {
	return func(yield func(Move) bool) {
		if l != nil {
			l.moves.byFrom.Scan(func(m *packedMove) bool { return yield(m.unpacked()) })
		}
	}
}

// Find returns the entry of a name, if it is there and understood.
func (l *Ledger) Find(name EventName) (m Move, ok bool) {
	if l == nil {
		return Move{}, false
	}
	found, ok := l.moves.byName.Get(pack([]Move{{Version: Version{Source: name.Source, ID: name.ID}}})[0])
	if !ok {
		return Move{}, false
	}
	return found.unpacked(), true
}

// Between returns the ledger at a position between l's and that of a later
// ledger of its epoch, and reports whether it follows from the two. It does not if an entry
// has changed up to the position, and again behind it: the later ledger has only
// what came of both. Nor does it if the position is further back than a ledger
// remembers.
func (l *Ledger) Between(position int64, later *Ledger) (*Ledger, bool) {
	var changed []*packedMove
	if later != nil {
		if slices.ContainsFunc(later.unread, func(e LedgerEntry) bool { return e.Position > l.Position() && e.Position <= position }) {
			return nil, false // its position cannot be known
		}
		later.moves.byPosition.Ascend(&packedMove{position: l.Position() + 1, state: lowest}, func(m *packedMove) bool {
			if m.position <= position {
				changed = append(changed, m)
			}
			return m.position < position
		})
	}
	// Each change has a position of its own, so if all positions are there, no
	// change is hidden by a later one.
	if int64(len(changed)) != position-l.Position() {
		return nil, false
	}
	return l.with(position, changed, nil), true
}

// earliest is a version before that of any event.
var earliest = Version{Time: time.Date(-1, time.January, 1, 0, 0, 0, 0, time.UTC)}

// first returns the first move that counts and is away from the tenant; nil if
// there is none.
func (l *Ledger) first(from string) *packedMove { return l.next(from, earliest, false) }

// next returns the first move that counts, is away from the tenant, and has
// a version ≥ at (> at if after is set); nil if there is none.
func (l *Ledger) next(from string, at Version, after bool) *packedMove {
	if l == nil {
		return nil
	}
	move := l.moves.next(from, at, after)
	if alias, ok := l.aliases[from]; ok {
		if other := l.moves.next(alias, at, after); move == nil || other != nil && other.version().Compare(move.version()) < 0 {
			return other
		}
	}
	return move
}
