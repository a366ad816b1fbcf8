package ownership

import "fmt"

// How much a history takes (design §4).
const (
	// MaxMoves is the most moved entries.
	MaxMoves = 1000
	// MaxIdleMoves is how many of them may be without effect: so few that strangers
	// who name a resource in their moves leave room for those that count.
	MaxIdleMoves = 100
	// MaxHistoryBytes bounds the text, so that a document stays well under
	// Firestore's 1 MiB: 1,000 moves with long sources and ids would not.
	MaxHistoryBytes = 700 << 10
)

// Full reports whether the history holds more than a document may: MaxMoves
// moves, MaxHistoryBytes of text.
func (h History) Full() bool {
	size := 0
	for _, e := range h {
		size += len(e.Source) + len(e.ID) + len(e.Tenant) + len(e.From) + len(e.To) + len(e.Reason) + len(e.Actor) + len(e.Event.Source) + len(e.Event.ID)
	}
	return h.moves() > MaxMoves || size > MaxHistoryBytes
}

func (h History) moves() int {
	n := 0
	for _, e := range h {
		if e.Type == Moved {
			n++
		}
	}
	return n
}

// room returns the refusal of an entry that made h of before, if h would hold more
// than it may. Nothing that is kept is ever evicted for it: a move without effect
// may have one after a retraction. A claim is always taken: there is only one, and
// a tenant was answered yes. So is a deletion, which leaves nothing else.
func (h History) room(before History, e Entry, l *Ledger) (refused Outcome, ok bool) {
	switch {
	case e.Type == Claimed || e.Type == Deleted:
		return Outcome{}, true
	case h.Full():
		return Outcome{Kind: HistoryFull, WouldCount: e.Type == Moved && h.counts(l, e), Detail: fmt.Sprintf(
			"the history holds %d entries already: no more than %d moves and %d KiB are kept", len(before), MaxMoves, MaxHistoryBytes>>10)}, false
	case e.Type == Moved && len(h) > len(before) && h.moves() > MaxIdleMoves && h.idle(l) > MaxIdleMoves && !h.counts(l, e):
		return Outcome{Kind: HistoryFull, Detail: fmt.Sprintf(
			"the history holds %d moves without effect already, and this would be another: no more than %d are kept", before.idle(l), MaxIdleMoves)}, false
	}
	return Outcome{}, true
}

// counts reports whether the moved entry, which the history holds, has an effect on
// a registered resource. Moves alone may be of a resource that is never created.
func (h History) counts(l *Ledger, e Entry) bool { return h.registered() && h.effective(l, e) }

// idle is how many moves the history holds that do not count.
func (h History) idle(l *Ledger) int {
	if !h.registered() {
		return h.moves()
	}
	idle := 0
	f := newFold(h, l)
	for {
		step, ok := f.next()
		if !ok {
			return idle
		}
		if step.Type == Moved && !step.Ledger && !step.Effective {
			idle++
		}
	}
}
