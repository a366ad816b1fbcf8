package registry

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// LedgerEntry is one move of everything that a tenant owns, appended to the
// ledger by an event that names no resources. It stays for ever; a retracted
// one stays too, marked.
type LedgerEntry struct {
	Version        // of the event
	From, To       string
	Seq            int64     // ledger position of the last change to this entry
	ChangedAt      time.Time // time of that change's request; its commit may come a deadline later
	Retracted      bool
	RetractedBy    string    // who, as the operator gave it; "" where not retracted
	RetractedAt    time.Time // zero where not retracted
	RetractionOnly bool      // the retraction came before the move (archives): no From, To or time yet
	Rewriting      Rewriting // as it was when the entry was read
}

// Merge returns the ledger entry that takes account of a moved entry, and
// whether it differs. Of two moves with the same source and id the one with the
// smallest time, then from, then to, counts; a retraction stays.
func (e LedgerEntry) Merge(m Entry, exists bool) (merged LedgerEntry, changed bool) {
	known := exists && !e.RetractionOnly
	if known && e.asEntry().compare(m) <= 0 {
		return e, false
	}
	before := e
	e.Version, e.From, e.To, e.RetractionOnly = m.Version, m.From, m.To, false
	e.Time = e.Time.UTC().Round(0)
	e.Rewriting = before.Rewriting.queue(before.counting(exists), e.counting(true))
	return e, true
}

// Retract returns the ledger entry with the retraction, and whether it differs.
// Where the move has not arrived yet the entry is a tombstone that waits for it.
// Of two retractions the one with the smallest time, then who, counts.
func (e LedgerEntry) Retract(r Retraction, exists bool) (retracted LedgerEntry, changed bool) {
	at := r.At.UTC().Round(0)
	if exists && e.Retracted && cmp.Or(e.RetractedAt.Compare(at), strings.Compare(e.RetractedBy, r.By)) <= 0 {
		return e, false
	}
	if !exists {
		e = LedgerEntry{Version: Version{Source: r.Source, ID: r.ID}, RetractionOnly: true}
	}
	before := e
	e.Retracted, e.RetractedBy, e.RetractedAt = true, r.By, at
	e.Rewriting = before.Rewriting.queue(before.counting(exists), nil)
	return e, true
}

// Counts tells whether folds take account of the entry.
func (e LedgerEntry) Counts() bool { return !e.Retracted && !e.RetractionOnly }

// counting is the tenant whose resources the entry moves; none where it does
// not count.
func (e LedgerEntry) counting(exists bool) []string {
	if !exists || !e.Counts() {
		return nil
	}
	return []string{e.From}
}

// Retraction takes a move of a whole tenant back: folds no longer take account
// of it, so that what was before is back, exactly (design §4).
type Retraction struct {
	Source, ID string    // of the event
	By         string    // who, as the operator gave it; may be empty
	At         time.Time // when; zero: the store's time
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
	slices.SortFunc(l.entries, inVersionOrder)
	for _, e := range l.entries {
		if e.Counts() {
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
