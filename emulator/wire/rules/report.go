package rules

import (
	"cmp"
	"slices"
)

// A Report lists what the service would not have sustained: documents that were
// written faster than [SustainedWrites] after a burst of [WriteBurst], whatever
// rate was set, and indexes that grew at their end by more than [SequentialWrites]
// a second. The hottest come first.
type Report struct {
	Documents []Hot `json:"documents,omitempty"`
	Ranges    []Hot `json:"ranges,omitempty"`
}

// Hot is a hot document, or a hot indexed field of a collection (collection.field).
type Hot struct {
	Name      string `json:"name"`
	PerSecond int    `json:"per_second"` // writes in the fastest second
}

func (d *hotDocuments) report() []Hot {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []Hot
	for name, h := range d.heats {
		if h.hot {
			all = append(all, Hot{belowDocuments(name), h.fastest})
		}
	}
	return hottestFirst(all)
}

func (r *indexRanges) report() []Hot {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Hot
	for key, g := range r.ranges {
		if g.fastest > 0 {
			all = append(all, Hot{key.collection + "." + key.field, g.fastest})
		}
	}
	return hottestFirst(all)
}

func hottestFirst(all []Hot) []Hot {
	slices.SortFunc(all, func(a, b Hot) int {
		return cmp.Or(cmp.Compare(b.PerSecond, a.PerSecond), cmp.Compare(a.Name, b.Name))
	})
	return all
}
