package registry

import (
	"cmp"
	"slices"
	"strings"
)

// EntryType is what an entry of a history says.
type EntryType string

// The entry types; their values are stored.
const (
	Created  EntryType = "created"  // an event or a claim: Tenant created the resource
	Moved    EntryType = "moved"    // an event that names the resource: it goes From → To
	Asserted EntryType = "asserted" // a plain set by somebody outside: Tenant owns it now
)

// Entry is one event as a history or the ledger keeps it. Asserted entries have
// the document's update time as their version, with empty source and id.
type Entry struct {
	Type EntryType
	Version
	Tenant   string // created, asserted
	From, To string // moved
}

// compare orders entries for the fold: by version; the rest only makes the
// order total, so that equal sets have equal histories.
func (e Entry) compare(f Entry) int {
	return cmp.Or(e.Version.Compare(f.Version), strings.Compare(string(e.Type), string(f.Type)), e.compareData(f))
}

func (e Entry) compareData(f Entry) int {
	return cmp.Or(strings.Compare(e.Tenant, f.Tenant), strings.Compare(e.From, f.From), strings.Compare(e.To, f.To))
}

// Equal tells whether the two are the same entry. Times compare as instants.
func (e Entry) Equal(f Entry) bool { return e.compare(f) == 0 }

// History is the set of events that touched one resource, in the order of the
// fold. It is a value: no function changes one that it was given. The zero
// History is that of a resource which nobody registered.
type History []Entry

// MaxMoves is the most moved entries that a history takes (design §4).
const MaxMoves = 1000

// Created returns the created entry, of which there is at most one.
func (h History) Created() (Entry, bool) {
	i := slices.IndexFunc(h, func(e Entry) bool { return e.Type == Created })
	if i < 0 {
		return Entry{}, false
	}
	return h[i], true
}

// Has tells whether the history already takes account of e: merging it would
// change nothing.
func (h History) Has(e Entry) bool {
	_, changed := h.Merge(e)
	return !changed
}

// Merge returns the union of the history and e, and whether it differs from h.
// It commutes, associates and is idempotent:
//
//   - of all created entries only the smallest is kept;
//   - of moved entries with the same source and id, the one with the smallest
//     time, then from, then to;
//   - asserted entries are kept as they are.
//
// Which of a moved and a created entry with the same source and id counts is
// not decided here: the two are kept side by side, since a created entry that
// is not the smallest leaves no trace. Merge knows no bound on the size: see
// Full.
func (h History) Merge(e Entry) (merged History, changed bool) {
	e.Time = e.Time.UTC().Round(0)
	replace := -1
	switch e.Type {
	case Created:
		replace = slices.IndexFunc(h, func(f Entry) bool { return f.Type == Created })
	case Moved:
		replace = slices.IndexFunc(h, func(f Entry) bool { return f.Type == Moved && f.SameEvent(e.Version) })
	case Asserted:
		replace = slices.IndexFunc(h, e.Equal)
	}
	if replace >= 0 && h[replace].compare(e) <= 0 {
		return h, false
	}
	merged = make(History, 0, len(h)+1)
	merged = append(merged, h...)
	if replace >= 0 {
		merged = slices.Delete(merged, replace, replace+1)
	}
	at, _ := slices.BinarySearchFunc(merged, e, Entry.compare)
	return slices.Insert(merged, at, e), true
}

// Full tells whether the history holds more than a document may: MaxMoves moves,
// MaxHistoryBytes of text.
func (h History) Full() bool {
	moves, size := 0, 0
	for _, e := range h {
		if e.Type == Moved {
			moves++
		}
		size += len(e.Source) + len(e.ID) + len(e.Tenant) + len(e.From) + len(e.To)
	}
	return moves > MaxMoves || size > MaxHistoryBytes
}

// HasPlainSet tells whether somebody outside wrote the document: then what was
// before is lost, and what the registry promises of histories does not hold.
func (h History) HasPlainSet() bool {
	return slices.ContainsFunc(h, func(e Entry) bool { return e.Type == Asserted })
}

// SetPlainAfter tells whether somebody outside wrote the document after v.
func (h History) SetPlainAfter(v Version) bool {
	return slices.ContainsFunc(h, func(e Entry) bool { return e.Type == Asserted && e.Version.Compare(v) > 0 })
}

// Equal tells whether two histories are the same set.
func (h History) Equal(g History) bool { return slices.EqualFunc(h, g, Entry.Equal) }

// base is the entry whose tenant (for a move: whose From) is the owner before
// anything else happened: the created entry, else the smallest one (rule 1).
func (h History) base() Entry {
	if e, ok := h.Created(); ok {
		return e
	}
	return h[0]
}

// start is the version after which moves of whole tenants count (rule 2).
func (h History) start() Version {
	for _, e := range h { // in version order: the first is the smallest
		if e.Type == Created || e.Type == Asserted {
			return e.Version
		}
	}
	return h[0].Version
}
