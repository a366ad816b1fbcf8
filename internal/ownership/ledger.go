package ownership

import (
	"fmt"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/excerpt"
)

// MaxRetractions is how many statements of a retraction an entry keeps.
const MaxRetractions = 100

// LedgerEntry is one move of everything that a tenant owns, appended to the
// ledger by an event that names no resources. It stays for ever; a retracted
// one stays too, marked.
type LedgerEntry struct {
	Version        // of the event
	From, To       string
	Position       int64     // ledger position of the last change to this entry
	ChangedAt      time.Time // time of that change's request; its commit may come a deadline later
	Reason, Actor  string    // as the event says; may be empty
	Displaced      []Entry   // what had this name and lost it; at most MaxDisplaced, the first first
	Retractions    []Said    // who took it back, the first seen first; none if it counts
	RetractionOnly bool      // the retraction came before the move (archives): no From, To or time yet
	Rewriting      Rewriting // as it was when the entry was read
	// Document is the id of the document of an entry that is not understood.
	Document string
	// Unread is why the entry is not understood; nil if it is. Then it counts
	// for no fold, stops those that it may concern (see Ledger.Unfoldable), and
	// must not be changed. Source, ID and Position are as far as they can be read; so
	// is From, which is "" if it may concern any tenant.
	Unread error
}

// Said is one statement of a retraction. Of several with the same By and Why the first
// that is seen is kept: an operator whose command was not answered gives it again.
type Said struct {
	By  string    // who, as the operator gave it; may be empty
	Why string    // may be empty
	At  time.Time // by the store's clock
}

func (s Said) equal(t Said) bool { return s.repeats(t) && s.At.Equal(t.At) }

func (s Said) repeats(t Said) bool { return s.By == t.By && s.Why == t.Why }

// Merge returns the ledger entry that takes account of a moved or a retracted
// entry of its name, whether it differs, and what became of the entry that is
// merged. exists reports whether e is stored.
//
// Of two moves with the same source and id the one with the smallest time, then
// from, then to, counts, and the other is no duplicate unless it names the same
// tenants. A retraction stays; under the name of what was retracted nothing else
// is taken.
func (e LedgerEntry) Merge(m Entry, exists bool) (merged LedgerEntry, changed bool, o Outcome) {
	m.Time = m.Time.UTC().Round(0)
	if m.Type == Retracted {
		return e.retract(m, exists)
	}
	known := e.AsEntry()
	if !exists || e.RetractionOnly {
		return e.take(m, exists), true, Outcome{Kind: Applied}
	}
	same, smaller := known.sameTenants(m), m.compare(known) < 0
	switch {
	case !same && e.Retracted():
		return e, false, Outcome{Kind: Conflict, Detail: fmt.Sprintf(
			"event %s of %s was %s, and is retracted; publish it under an id of its own: now it is %s", excerpt.Quote(m.ID), excerpt.Quote(m.Source), known.Says(), m.Says())}
	case !same && !smaller:
		return e, false, Outcome{Kind: Conflict, Detail: twice(known, m)}
	case !same:
		merged = e.take(m, exists)
		merged.Displaced = displace(e.Displaced, known)
		return merged, true, Outcome{Kind: Applied, Displaced: &known}
	case smaller:
		return e.take(m, exists), true, Outcome{Kind: Applied}
	}
	return e, false, Outcome{Kind: Duplicate, Displaced: displacedBy(e.Displaced, m)}
}

func (e LedgerEntry) take(m Entry, exists bool) LedgerEntry {
	before := e
	e.Version, e.From, e.To, e.Reason, e.Actor, e.RetractionOnly = m.Version, m.From, m.To, m.Reason, m.Actor, false
	e.Rewriting = before.Rewriting.queue(before.counting(exists), e.counting(true))
	return e
}

// retract is Merge for a retraction. If the move has not arrived yet the entry is
// a tombstone that waits for it. Everything that was said is kept once, the first
// seen first: a retraction of what is retracted changes nothing that counts, and
// is told who was first.
func (e LedgerEntry) retract(r Entry, exists bool) (retracted LedgerEntry, changed bool, o Outcome) {
	said := Said{By: r.Actor, Why: r.Reason, At: r.Time}
	if slices.ContainsFunc(e.Retractions, said.repeats) {
		return e, false, e.retractedBefore(said)
	}
	if len(e.Retractions) >= MaxRetractions {
		return e, false, Outcome{Kind: HistoryFull, Detail: fmt.Sprintf("the move has %d retractions already; it stays retracted", len(e.Retractions))}
	}
	if !exists {
		e = LedgerEntry{Version: Version{Source: r.Source, ID: r.ID}, RetractionOnly: true}
	}
	before := e
	e.Retractions = append(slices.Clip(e.Retractions), said)
	e.Rewriting = before.Rewriting.queue(before.counting(exists), nil)
	if before.Retracted() {
		return e, true, e.retractedBefore(said)
	}
	return e, true, Outcome{Kind: Applied}
}

// retractedBefore is the outcome of a statement that is not the first, or that
// came again.
func (e LedgerEntry) retractedBefore(said Said) Outcome {
	first := e.Retractions[0]
	if first.equal(said) {
		return Outcome{Kind: Duplicate}
	}
	who := first.By
	if who == "" {
		who = "an operator who gave no name"
	}
	return Outcome{Kind: Duplicate, Detail: fmt.Sprintf("retracted already at %s by %s", first.At.Format(timeFormat), who)}
}

// Retracted reports whether the move was taken back.
func (e LedgerEntry) Retracted() bool { return len(e.Retractions) > 0 }

// Counts reports whether folds take account of the entry.
func (e LedgerEntry) Counts() bool { return !e.Retracted() && !e.RetractionOnly && e.Unread == nil }

// counting is the tenant whose resources the entry moves; none if it does
// not count.
func (e LedgerEntry) counting(exists bool) []string {
	if !exists || !e.Counts() {
		return nil
	}
	return []string{e.From}
}

func (e LedgerEntry) AsEntry() Entry {
	return Entry{Type: Moved, Version: e.Version, From: e.From, To: e.To, Reason: e.Reason, Actor: e.Actor}
}
