// Package reference is the ownership fold of design §4 written a second time, as
// slowly and plainly as the rules read, and with none of the registry's code but
// its types: what tests and proofs hold the registry against.
package reference

import (
	"slices"
	"strings"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Registry is a set of events, and of the claims that were answered yes: which
// claims those are depends on when they were made, so they are taken as given.
// What the registry refused for want of room is not to be added either. The zero
// Registry is empty.
type Registry struct{ changes []ownership.Change }

// Add adds one event's effect, as often and in whatever order.
func (r *Registry) Add(changes ...ownership.Change) { r.changes = append(r.changes, changes...) }

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
	byResource := map[registry.Resource][]ownership.Entry{}
	for _, c := range r.changes {
		byResource[c.Resource] = append(byResource[c.Resource], c.Entry)
	}
	ledger := counting(byResource[registry.Resource{}])
	owners := map[registry.Resource]string{}
	for resource, entries := range byResource {
		if resource != (registry.Resource{}) {
			owners[resource] = owner(distinct(entries), ledger)
		}
	}
	return owners
}

// Owner returns the owner of one resource, "" if there is none.
func (r *Registry) Owner(resource registry.Resource) string { return r.Owners()[resource] }

// counting returns the moves of whole tenants that are not retracted.
func counting(ledger []ownership.Entry) []ownership.Entry {
	retracted := map[[2]string]bool{}
	for _, e := range ledger {
		if e.Type == ownership.Retracted {
			retracted[[2]string{e.Source, e.ID}] = true
		}
	}
	return slices.DeleteFunc(distinct(ledger), func(e ownership.Entry) bool {
		return retracted[[2]string{e.Source, e.ID}]
	})
}

// distinct keeps one entry per event, type and resource: the smallest. Asserted
// entries have no event; each is its own.
func distinct(entries []ownership.Entry) []ownership.Entry {
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, less)
	seen := map[[3]string]bool{}
	var kept []ownership.Entry
	for _, e := range sorted {
		key := [3]string{string(e.Type), e.Source, e.ID}
		if e.Type == ownership.Asserted {
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
func owner(history, ledger []ownership.Entry) string {
	deleted := func(e ownership.Entry) bool { return e.Type == ownership.Deleted }
	if len(history) == 0 || slices.ContainsFunc(history, deleted) {
		return ""
	}
	slices.SortFunc(history, less)

	of := func(types ...ownership.EntryType) (found []ownership.Entry) {
		for _, e := range history {
			if slices.Contains(types, e.Type) {
				found = append(found, e)
			}
		}
		return found
	}
	claims, creations := of(ownership.Claimed), of(ownership.Created)

	// 1. Base, and 2. start.
	base := history[0]
	start := base.Version
	switch owned := of(ownership.Created, ownership.Asserted); {
	case len(claims) > 0:
		base, start = claims[0], claims[0].Version
	case len(creations) > 0:
		base, start = creations[0], owned[0].Version
	case len(owned) > 0:
		start = owned[0].Version
	}
	now := base.Tenant
	if base.Type == ownership.Moved {
		now = base.From
	}

	// 3. All moves and assertions of the history, and those of the ledger after
	// the start.
	steps := of(ownership.Moved, ownership.Asserted)
	for _, e := range ledger {
		if e.Version.Compare(start) > 0 {
			steps = append(steps, e)
		}
	}
	slices.SortStableFunc(steps, func(a, b ownership.Entry) int { return a.Version.Compare(b.Version) })
	for _, e := range steps {
		switch {
		case e.Type == ownership.Asserted:
			now = e.Tenant
		case now == e.From:
			now = e.To
		}
	}
	return now
}

func less(a, b ownership.Entry) int {
	if c := a.Version.Compare(b.Version); c != 0 {
		return c
	}
	data := func(e ownership.Entry) string {
		return strings.Join([]string{string(e.Type), e.Tenant, e.From, e.To, e.Reason, e.Actor}, "\x00")
	}
	return strings.Compare(data(a), data(b))
}
