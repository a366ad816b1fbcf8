package ownership

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/excerpt"
)

// EventName names an event: two deliveries with the same source and id are one.
type EventName struct{ Source, ID string }

// EventName is the name of the event whose version it is.
func (v Version) EventName() EventName { return EventName{v.Source, v.ID} }

// LedgerChange is one event's, or one operator's, effect on one entry of the
// ledger.
type LedgerChange struct {
	// Event names the entry.
	Event EventName
	// Update is pure: all it knows is what it is given, and the time at which it
	// was first called. exists says whether there is an entry; now is the store's
	// time.
	Update func(before LedgerEntry, exists bool, now time.Time) LedgerUpdate
}

// LedgerUpdate is what a store must write so that an entry takes account of a
// change.
type LedgerUpdate struct {
	Entry   LedgerEntry // as it is to be; its Seq is the store's to give
	Write   bool        // false: the entry stays as it is
	Outcome Outcome     // true once committed
}

// LedgerChange appends the move to the ledger.
func (e Entry) LedgerChange() LedgerChange {
	return LedgerChange{e.EventName(), func(before LedgerEntry, exists bool, _ time.Time) LedgerUpdate {
		return ledgerUpdate(before.Merge(e, exists))
	}}
}

// LedgerChange marks the entry as retracted; one that is not valid fails, and
// changes nothing.
func (r Retraction) LedgerChange() LedgerChange {
	invalid := r.Validate()
	return LedgerChange{EventName{r.Source, r.ID}, func(before LedgerEntry, exists bool, now time.Time) LedgerUpdate {
		if invalid != nil {
			return LedgerUpdate{Entry: before, Outcome: Outcome{Kind: Failed, Err: fmt.Errorf("retract %s: %w", excerpt.Quote(r.ID), invalid)}}
		}
		if r.At.IsZero() {
			r.At = now // for good: what was committed without an answer is known again by it
		}
		return ledgerUpdate(before.Retract(r, exists))
	}}
}

func ledgerUpdate(e LedgerEntry, changed bool, o Outcome) LedgerUpdate {
	return LedgerUpdate{Entry: e, Write: changed, Outcome: o}
}

// UpdateLedger applies changes, one after the other, to entries as they were
// read, at the position and the time of that read. It returns the entries to be
// written, in one commit, together with the position of the last of them, and
// one outcome per change, true once that is committed. Each entry that is
// written takes the next position, once, however many of the changes are its
// own. Changes of an entry that is not understood fail, and so does one that
// panics, with a *PanicError: the others of the commit go on without it. It is
// pure.
func UpdateLedger(position int64, now time.Time, entries map[EventName]LedgerEntry, changes []LedgerChange) (writes []LedgerEntry, outcomes []Outcome) {
	outcomes = make([]Outcome, len(changes))
	index := map[EventName]int{} // into writes
	for i, c := range changes {
		before, exists := entries[c.Event]
		at, written := index[c.Event]
		if written {
			before, exists = writes[at], true
		}
		if before.Unread != nil {
			outcomes[i] = Outcome{Kind: Failed, Err: before.Unread}
			continue
		}
		u := c.update(before, exists, now)
		outcomes[i] = u.Outcome
		switch {
		case !u.Write:
		case written:
			u.Entry.Seq, u.Entry.ChangedAt = before.Seq, now
			writes[at] = u.Entry
		default:
			u.Entry.ChangedAt = now
			u.Entry.Seq = position + int64(len(writes)) + 1
			index[c.Event] = len(writes)
			writes = append(writes, u.Entry)
		}
	}
	return writes, outcomes
}

func (c LedgerChange) update(before LedgerEntry, exists bool, now time.Time) (u LedgerUpdate) {
	defer func() {
		if p := recover(); p != nil {
			u = LedgerUpdate{Outcome: Outcome{Kind: Failed, Err: &PanicError{p, debug.Stack()}}}
		}
	}()
	return c.Update(before, exists, now)
}
