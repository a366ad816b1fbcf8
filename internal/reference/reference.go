// Package reference is the ownership fold of design §4 written a second time, as
// slowly and plainly as the rules read, and with none of the registry's code but
// its types: what tests and proofs hold the registry against.
package reference

import (
	"slices"
	"strings"

	"github.com/northstar-engines/realtime-registry/registry"
)

// Registry is a set of events. The zero Registry is empty.
type Registry struct {
	changes   []registry.Change
	retracted map[[2]string]bool
}

// Add adds one event's effect, as often and in whatever order.
func (r *Registry) Add(changes ...registry.Change) { r.changes = append(r.changes, changes...) }

// Retract marks the move of a whole tenant that source and id name.
func (r *Registry) Retract(source, id string) {
	if r.retracted == nil {
		r.retracted = map[[2]string]bool{}
	}
	r.retracted[[2]string{source, id}] = true
}

// Resources lists all resources that an event names, by the bytes of kind, then
// id.
func (r *Registry) Resources() []registry.Resource {
	var all []registry.Resource
	for _, c := range r.changes {
		if c.Resource != (registry.Resource{}) {
			all = append(all, c.Resource)
		}
	}
	slices.SortFunc(all, func(a, b registry.Resource) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(all)
}

// Owners returns the owner of every resource.
func (r *Registry) Owners() map[registry.Resource]string {
	byResource := map[registry.Resource][]registry.Entry{}
	for _, c := range r.changes {
		byResource[c.Resource] = append(byResource[c.Resource], c.Entry)
	}
	ledger := r.counting(byResource[registry.Resource{}])
	owners := map[registry.Resource]string{}
	for resource, entries := range byResource {
		if resource != (registry.Resource{}) {
			owners[resource] = owner(distinct(entries), ledger)
		}
	}
	return owners
}

// Owner returns the owner of one resource, "" where there is none.
func (r *Registry) Owner(resource registry.Resource) string { return r.Owners()[resource] }

// counting are the moves of whole tenants that are not retracted.
func (r *Registry) counting(ledger []registry.Entry) []registry.Entry {
	return slices.DeleteFunc(distinct(ledger), func(e registry.Entry) bool {
		return r.retracted[[2]string{e.Source, e.ID}]
	})
}

// distinct keeps one entry per event, type and resource: the smallest. Asserted
// entries have no event; each is its own.
func distinct(entries []registry.Entry) []registry.Entry {
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, less)
	seen := map[[3]string]bool{}
	var kept []registry.Entry
	for _, e := range sorted {
		key := [3]string{string(e.Type), e.Source, e.ID}
		if e.Type == registry.Asserted {
			key = [3]string{string(e.Type), e.Time.String(), e.Tenant}
		}
		if !seen[key] {
			seen[key] = true
			kept = append(kept, e)
		}
	}
	return kept
}

// owner is rules 1 to 4.
func owner(history, ledger []registry.Entry) string {
	if len(history) == 0 {
		return ""
	}
	slices.SortFunc(history, less)

	// 1. Base.
	base := history[0]
	for _, e := range history {
		if e.Type == registry.Created {
			base = e
			break
		}
	}
	now := base.Tenant
	if base.Type == registry.Moved {
		now = base.From
	}

	// 2. Start.
	start := base.Version
	for _, e := range history {
		if e.Type != registry.Moved {
			start = e.Version
			break
		}
	}

	// 3. All moves and assertions of the history, and those of the ledger after
	// the start.
	var steps []registry.Entry
	for _, e := range history {
		if e.Type != registry.Created {
			steps = append(steps, e)
		}
	}
	for _, e := range ledger {
		if e.Version.Compare(start) > 0 {
			steps = append(steps, e)
		}
	}
	slices.SortStableFunc(steps, func(a, b registry.Entry) int { return a.Version.Compare(b.Version) })
	for _, e := range steps {
		switch {
		case e.Type == registry.Asserted:
			now = e.Tenant
		case now == e.From:
			now = e.To
		}
	}
	return now
}

func less(a, b registry.Entry) int {
	if c := a.Version.Compare(b.Version); c != 0 {
		return c
	}
	return strings.Compare(string(a.Type)+"\x00"+a.Tenant+"\x00"+a.From+"\x00"+a.To, string(b.Type)+"\x00"+b.Tenant+"\x00"+b.From+"\x00"+b.To)
}
