package ownership

import (
	"runtime/debug"
	"time"
)

// EventName names an event: two deliveries with the same source and id are one.
type EventName struct{ Source, ID string }

// EventName returns the name of the event whose version v is.
func (v Version) EventName() EventName { return EventName{Source: v.Source, ID: v.ID} }

// LedgerChange is one event's, or one operator's, effect on one entry of the
// ledger.
type LedgerChange struct {
	// Event names the entry.
	Event EventName
	// Update says what becomes of the entry. It depends on its arguments alone,
	// with one exception: it may keep the time of its first call, so that the
	// change is known again if it is tried again. exists says whether there is an
	// entry; now is the store's time.
	Update func(before LedgerEntry, exists bool, now time.Time) LedgerUpdate
	// First says that it goes before the others of its commit.
	First bool
	// ToLog is that of the Change.
	ToLog bool
	// By, if not nil, returns the change that is to be made in place of this one, by a
	// ledger: it says which tenants were erased.
	By func(*Ledger) LedgerChange
}

// LedgerUpdate is what a store must write so that an entry takes account of a
// change.
type LedgerUpdate struct {
	Entry   LedgerEntry // as it is to be; its Position is the store's to give
	Write   bool        // false: the entry stays as it is
	Outcome Outcome     // true once committed
}

// LedgerChange is what a moved or a retracted entry changes in the ledger. A
// retraction without a time bears the store's, and goes first: a move that comes
// in the same commit never counts, and leaves nothing to be rewritten.
func (e Entry) LedgerChange() LedgerChange {
	update := func(before LedgerEntry, exists bool, now time.Time) (u LedgerUpdate) {
		if e.Type == Retracted && e.Time.IsZero() {
			e.Time = now // for good: what was committed without an answer is known again by it
		}
		u.Entry, u.Write, u.Outcome = before.Merge(e, exists)
		return u
	}
	c := LedgerChange{Event: e.EventName(), Update: update, First: e.Type == Retracted}
	if e.Type == Moved {
		c.By = func(l *Ledger) LedgerChange { return e.Anonymous(l).LedgerChange() }
	}
	return c
}

// UpdateLedger applies changes, one after the other, to entries as they were
// read, at the position and the time of that read. It returns the entries to be
// written, in one commit, together with the position of the last of them, and
// one outcome per change, true once that is committed. Each entry that is
// written takes the next position, once, however many of the changes are its
// own. Changes of an entry that is not understood fail, and so does one that
// panics, with a *PanicError: the others of the commit go on without it. It is
// pure.
func UpdateLedger(position int64, now time.Time, entries map[EventName]LedgerEntry, changes []LedgerChange) ([]LedgerEntry, []Outcome) {
	u := ledgerUpdates{position, now, entries, nil, map[EventName]int{}}
	outcomes := make([]Outcome, len(changes))
	for _, first := range []bool{true, false} {
		for i, c := range changes {
			if c.First == first {
				outcomes[i] = u.apply(c)
			}
		}
	}
	return u.writes, outcomes
}

// ledgerUpdates is what becomes of entries in one commit.
type ledgerUpdates struct {
	position int64
	now      time.Time
	read     map[EventName]LedgerEntry
	writes   []LedgerEntry
	index    map[EventName]int // into writes
}

func (u *ledgerUpdates) apply(c LedgerChange) Outcome {
	before, exists := u.read[c.Event]
	at, written := u.index[c.Event]
	if written {
		before, exists = u.writes[at], true
	}
	if before.Unread != nil {
		return Outcome{Kind: Failed, Err: before.Unread}
	}
	after := c.update(before, exists, u.now)
	after.Entry.ChangedAt = u.now
	switch {
	case !after.Write:
	case written:
		after.Entry.Position = before.Position
		u.writes[at] = after.Entry
	default:
		after.Entry.Position = u.position + int64(len(u.writes)) + 1
		u.index[c.Event] = len(u.writes)
		u.writes = append(u.writes, after.Entry)
	}
	return after.Outcome
}

func (c LedgerChange) update(before LedgerEntry, exists bool, now time.Time) (u LedgerUpdate) {
	defer func() {
		if p := recover(); p != nil {
			u = LedgerUpdate{Outcome: Outcome{Kind: Failed, Err: &PanicError{p, debug.Stack()}}}
		}
	}()
	return c.Update(before, exists, now)
}
