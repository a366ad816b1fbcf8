package registry

import (
	"slices"
	"time"
)

// LedgerEntry is one move of everything that a tenant owns, appended to the
// ledger by an event that names no resources. It stays for ever; a retracted
// one stays too, marked.
type LedgerEntry struct {
	Version        // of the event
	From, To       string
	Seq            int64     // ledger position of the last change to this entry
	ChangedAt      time.Time // commit time of that change
	Retracted      bool
	RetractedBy    string    // who, as the operator gave it; "" where not retracted
	RetractedAt    time.Time // zero where not retracted
	RetractionOnly bool      // the retraction came before the move (archives): no From, To or time yet
}

// Merge returns the ledger entry that takes account of a moved entry, and
// whether it differs. Of two moves with the same source and id the one with the
// smallest time, then from, then to, counts; a retraction stays.
func (e LedgerEntry) Merge(m Entry, exists bool) (merged LedgerEntry, changed bool) {
	known := exists && !e.RetractionOnly
	if known && e.asEntry().compare(m) <= 0 {
		return e, false
	}
	e.Version, e.From, e.To, e.RetractionOnly = m.Version, m.From, m.To, false
	e.Time = e.Time.UTC().Round(0)
	return e, true
}

func (e LedgerEntry) asEntry() Entry {
	return Entry{Type: Moved, Version: e.Version, From: e.From, To: e.To}
}

// Ledger is a snapshot of all moves of whole tenants, at one position. It is
// immutable and safe for concurrent use. A nil *Ledger is the empty ledger at
// position 0.
type Ledger struct {
	seq     int64
	entries []LedgerEntry            // in version order, all of them
	byFrom  map[string][]LedgerEntry // those that count, in version order
}

// NewLedger makes a snapshot at position seq from entries in any order.
func NewLedger(seq int64, entries []LedgerEntry) *Ledger {
	l := &Ledger{seq: seq, entries: slices.Clone(entries), byFrom: map[string][]LedgerEntry{}}
	slices.SortFunc(l.entries, func(a, b LedgerEntry) int { return a.Version.Compare(b.Version) })
	for _, e := range l.entries {
		if !e.Retracted && !e.RetractionOnly {
			l.byFrom[e.From] = append(l.byFrom[e.From], e)
		}
	}
	return l
}

// Seq is the position: it grows by one with every change to the ledger, in the
// order in which the changes were committed.
func (l *Ledger) Seq() int64 {
	if l == nil {
		return 0
	}
	return l.seq
}

// Entries returns all entries in version order, retracted ones too. The caller
// must not change the slice.
func (l *Ledger) Entries() []LedgerEntry {
	if l == nil {
		return nil
	}
	return l.entries
}

// next returns the first entry that counts, moves away from the tenant, and has
// a version ≥ at (> at where after is set).
func (l *Ledger) next(from string, at Version, after bool) (LedgerEntry, bool) {
	if l == nil {
		return LedgerEntry{}, false
	}
	moves := l.byFrom[from]
	i, found := slices.BinarySearchFunc(moves, at, func(e LedgerEntry, v Version) int { return e.Version.Compare(v) })
	if found && after {
		i++
	}
	if i == len(moves) {
		return LedgerEntry{}, false
	}
	return moves[i], true
}
