package ownership

import (
	"maps"
	"slices"
)

// With returns the ledger at a later position, with the entries that have
// changed since. It costs a copy of what there is, and sorts only what is new:
// ledgers grow, and change often if many tenants move.
func (l *Ledger) With(seq int64, changed []LedgerEntry) *Ledger {
	if l == nil {
		return NewLedger(seq, changed)
	}
	if len(changed) == 0 {
		return &Ledger{seq: seq, entries: l.entries, byFrom: l.byFrom, unread: l.unread}
	}
	changed = slices.SortedFunc(slices.Values(changed), inVersionOrder)
	events := make(map[EventName]bool, len(changed))
	counting := make(map[string][]LedgerEntry, len(changed)) // new moves by tenant; none if one has gone
	for _, e := range changed {
		events[e.EventName()] = true
		if e.Counts() {
			counting[e.From] = append(counting[e.From], e)
		}
	}
	for _, e := range l.entries {
		if _, known := counting[e.From]; !known && events[e.EventName()] {
			counting[e.From] = nil
		}
	}
	stays := func(e LedgerEntry) bool { return !events[e.EventName()] }
	next := &Ledger{seq: seq, entries: merged(l.entries, stays, changed), byFrom: maps.Clone(l.byFrom)}
	if len(l.unread) > 0 || slices.ContainsFunc(changed, isUnread) {
		next.unread = slices.DeleteFunc(slices.Clone(next.entries), func(e LedgerEntry) bool { return !isUnread(e) })
	}
	for tenant, moves := range counting {
		if moves = merged(l.byFrom[tenant], stays, moves); len(moves) > 0 {
			next.byFrom[tenant] = moves
		} else {
			delete(next.byFrom, tenant)
		}
	}
	return next
}

// Between returns the ledger at a position between l's and that of a later
// ledger, and reports whether it follows from the two. It does not where an entry
// has changed up to the position, and again behind it: the later ledger has only
// what came of both.
func (l *Ledger) Between(seq int64, later *Ledger) (*Ledger, bool) {
	var changed []LedgerEntry
	for _, e := range later.Entries() {
		if e.Seq > l.Seq() && e.Seq <= seq {
			if isUnread(e) {
				return nil, false // who knows which position it has
			}
			changed = append(changed, e)
		}
	}
	// Each change has a position of its own, so if all positions are there, no
	// change is hidden by a later one.
	if int64(len(changed)) != seq-l.Seq() {
		return nil, false
	}
	return l.With(seq, changed), true
}

// merged is, in version order, those of old that stay, and added.
func merged(old []LedgerEntry, stays func(LedgerEntry) bool, added []LedgerEntry) []LedgerEntry {
	all := make([]LedgerEntry, 0, len(old)+len(added))
	for _, e := range old {
		if !stays(e) {
			continue
		}
		for len(added) > 0 && inVersionOrder(added[0], e) < 0 {
			all, added = append(all, added[0]), added[1:]
		}
		all = append(all, e)
	}
	return append(all, added...)
}

func isUnread(e LedgerEntry) bool { return e.Unread != nil }

func inVersionOrder(a, b LedgerEntry) int { return a.Version.Compare(b.Version) }
