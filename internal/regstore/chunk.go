package regstore

import (
	"iter"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// weight is about how many bytes entries take in a request, at most.
func weight(entries []ownership.Entry) int {
	const document, entry = 300, 150 // names of documents and of fields
	bytes := document
	for _, e := range entries {
		bytes += entry + len(e.Source) + len(e.ID) + len(e.Tenant) + len(e.From) + len(e.To) + len(e.Reason) + len(e.Actor)
	}
	return bytes
}

// weight is about how many bytes what is to be written takes in a request, at
// most.
func (p pending) weight() int {
	bytes := weight(p.update.History) + weight(p.update.Displaced) + 2*len(p.resource.ID) // in its own name and in the feed entry
	for _, tenant := range p.update.Path {
		bytes += 8 + len(tenant)
	}
	return bytes
}

// chunks cuts what is pending so that each chunk fits one request.
func chunks(all []pending, most int) iter.Seq[[]pending] {
	return func(yield func([]pending) bool) {
		for len(all) > 0 {
			n := fitting(all, most, pending.weight)
			if !yield(all[:n]) {
				return
			}
			all = all[n:]
		}
	}
}

// fitting is how many of the first items, at most most and at least one, fit
// one request.
func fitting[T any](items []T, most int, weight func(T) int) int {
	bytes := 0
	for i, item := range items[:min(most, len(items))] {
		if bytes += weight(item); bytes > docdb.MaxBytes && i > 0 {
			return i
		}
	}
	return min(most, len(items))
}
