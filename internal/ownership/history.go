package ownership

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// EntryType is what an entry of a history says.
type EntryType string

// The entry types; their values are stored.
const (
	Claimed  EntryType = "claimed"  // a claim that was answered yes: Tenant owns the resource from the first
	Created  EntryType = "created"  // an event: Tenant created the resource
	Moved    EntryType = "moved"    // an event that names the resource: it goes From → To
	Asserted EntryType = "asserted" // a plain set by another program: Tenant owns it now
	// Deleted says that the resource is gone for good. A history that has such an
	// entry has nothing else (see History.Merge).
	Deleted EntryType = "deleted"
	// Retracted takes back the move of a whole tenant that has the same source and
	// id. It is an entry of the ledger only, and is stored as part of the move's.
	Retracted EntryType = "retracted"
)

// Entry is one event as a history or the ledger keeps it. Asserted entries have
// the document's update time as their version, with empty source and id. Deleted
// entries have a time alone: they name no tenant, and no event, whose name may hold
// a person's.
type Entry struct {
	Type EntryType
	Version
	Tenant   string // claimed, created, asserted
	From, To string // moved
	// Why and by whom, as the event or the operator says it: moved and retracted
	// only, may be empty. The fold takes no account of them.
	Reason, Actor string
	// Event names the event of the same creation, as the claim gave it: claimed
	// only, may be zero. It is for people: no comparison takes account of it.
	Event EventName
}

// compare orders entries for the fold: by version; the rest only makes the
// order total, so that equal sets have equal histories.
func (e Entry) compare(f Entry) int {
	return cmp.Or(e.Version.Compare(f.Version), strings.Compare(string(e.Type), string(f.Type)), e.compareData(f))
}

func (e Entry) compareData(f Entry) int {
	return cmp.Or(strings.Compare(e.Tenant, f.Tenant), strings.Compare(e.From, f.From), strings.Compare(e.To, f.To),
		strings.Compare(e.Reason, f.Reason), strings.Compare(e.Actor, f.Actor))
}

// Equal reports whether the two are the same entry, whatever their Event. Times
// compare as instants.
func (e Entry) Equal(f Entry) bool { return e.compare(f) == 0 }

// sameTenants reports whether the two say the same of the same tenants. Two
// entries with one name that do are one event.
func (e Entry) sameTenants(f Entry) bool {
	return e.Tenant == f.Tenant && e.From == f.From && e.To == f.To
}

// registers reports whether the entry says by itself who owns the resource.
func (e Entry) registers() bool { return e.Type != Moved }

// History is the set of events that touched one resource, in the order of the fold.
// It is a value: no function changes one that it was given. The zero History is
// that of a resource which is not registered.
type History []Entry

// Claimed returns the claimed entry, of which there is at most one.
func (h History) Claimed() (Entry, bool) {
	return h.find(func(e Entry) bool { return e.Type == Claimed })
}

// Created returns the created entry, of which there is at most one, and none
// beside a claim.
func (h History) Created() (Entry, bool) {
	return h.find(func(e Entry) bool { return e.Type == Created })
}

// named returns the entry of the same type that has the same name.
func (h History) named(e Entry) (Entry, bool) {
	return h.find(func(f Entry) bool { return f.Type == e.Type && f.SameEvent(e.Version) })
}

func (h History) find(is func(Entry) bool) (Entry, bool) {
	i := slices.IndexFunc(h, is)
	if i < 0 {
		return Entry{}, false
	}
	return h[i], true
}

// Has reports whether the history already takes account of e: merging it would
// change nothing.
func (h History) Has(e Entry) bool {
	_, changed := h.Merge(e)
	return !changed
}

// Merge returns the union of the history and e, and whether it differs from h.
// It commutes, associates and is idempotent:
//
//   - a deleted entry is kept alone: it takes the place of all others, and no other
//     one joins it. Of several the smallest is kept;
//   - of all claimed entries only the smallest is kept;
//   - of all created entries only the smallest is kept, and none beside a claim;
//   - of moved entries with the same source and id, the one with the smallest
//     time, then from, then to;
//   - asserted entries are kept as they are.
//
// Which of a moved and a created entry with the same source and id counts is
// not decided here: the two are kept side by side, since a created entry that
// is not the smallest leaves no trace. Merge knows no bound on the size, and
// refuses nothing: see Record.Update.
func (h History) Merge(e Entry) (merged History, changed bool) {
	e.Time = e.Time.UTC().Round(0)
	if e.Type == Deleted {
		return h.delete(e.Time)
	}
	if h.Deleted() {
		return h, false
	}
	replaces := func(f Entry) bool { return false }
	switch e.Type {
	case Claimed:
		replaces = func(f Entry) bool { return f.Type == Claimed || f.Type == Created }
		if claim, ok := h.Claimed(); ok && claim.compare(e) <= 0 {
			return h, false
		}
	case Created:
		replaces = func(f Entry) bool { return f.Type == Created }
		if _, claimed := h.Claimed(); claimed {
			return h, false
		}
		if first, ok := h.Created(); ok && first.compare(e) <= 0 {
			return h, false
		}
	case Moved:
		replaces = func(f Entry) bool { return f.Type == Moved && f.SameEvent(e.Version) }
		if known, ok := h.named(e); ok && known.compare(e) <= 0 {
			return h, false
		}
	case Asserted:
		if h.holds(e) {
			return h, false
		}
	}
	merged = make(History, 0, len(h)+1)
	for _, f := range h {
		if !replaces(f) {
			merged = append(merged, f)
		}
	}
	at, _ := slices.BinarySearchFunc(merged, e, Entry.compare)
	return slices.Insert(merged, at, e), true
}

// delete is Merge for a deletion at a time.
func (h History) delete(at time.Time) (deleted History, changed bool) {
	if h.Deleted() && !at.Before(h[0].Time) {
		return h, false
	}
	return History{{Type: Deleted, Version: Version{Time: at}}}, true
}

// Deleted reports whether the resource was deleted. Then the history is that one
// entry.
func (h History) Deleted() bool { return len(h) == 1 && h[0].Type == Deleted }

// HasPlainSet reports whether another program wrote the document: then what was
// before is lost, and what the registry promises of histories does not hold.
func (h History) HasPlainSet() bool {
	return slices.ContainsFunc(h, func(e Entry) bool { return e.Type == Asserted })
}

// SetPlainAfter reports whether another program wrote the document after v.
func (h History) SetPlainAfter(v Version) bool {
	return slices.ContainsFunc(h, func(e Entry) bool { return e.Type == Asserted && e.Version.Compare(v) > 0 })
}

// Equal reports whether two histories are the same set.
func (h History) Equal(g History) bool { return slices.EqualFunc(h, g, Entry.Equal) }

// base is the entry whose tenant (for a move: whose From) is the owner before
// anything else happened: the claim, else the creation, else the smallest one
// (rule 1).
func (h History) base() Entry {
	if e, ok := h.Claimed(); ok {
		return e
	}
	if e, ok := h.Created(); ok {
		return e
	}
	return h[0]
}

// start is the version after which moves of whole tenants count (rule 2).
func (h History) start() Version {
	if e, ok := h.Claimed(); ok {
		return e.Version
	}
	// In version order: the first is the smallest.
	if e, ok := h.find(Entry.registers); ok {
		return e.Version
	}
	return h[0].Version
}

// registered reports whether anything but moves is known of the resource.
func (h History) registered() bool { return slices.ContainsFunc(h, Entry.registers) }
