package replay

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Effect is what a dry run found would become of resources that the archive
// names.
type Effect struct {
	Registered, Moved, Deleted             map[registry.Kind]int
	RegisteredSample, Moves, DeletedSample []OwnerChange
	// TenantMoves are moves of whole tenants that would begin or cease to
	// count. What they do to resources that the archive does not name is for
	// rewrite.Planner to say: Before and After are the ledgers.
	TenantMoves   []ownership.LedgerEntry
	Before, After *ownership.Ledger
}

// OwnerChange is a resource with its owner before, "" for none, and after.
type OwnerChange struct {
	Resource registry.Resource
	From, To string
	Deleted  bool // then To is ""
}

// Names reports whether the archive names the resource. If that cannot be told,
// Close says so.
func (d *DryRun) Names(r registry.Resource) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	known, err := d.states.get(r)
	d.fault = cmp.Or(d.fault, err)
	d.fault = cmp.Or(d.fault, d.states.trim())
	return known != nil
}

// Effect sums up; at most sample changes of each sort are named, the first by
// the bytes of kind, then id.
func (d *DryRun) Effect(sample int) (Effect, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := Effect{Registered: map[registry.Kind]int{}, Moved: map[registry.Kind]int{}, Deleted: map[registry.Kind]int{}, Before: d.before, After: d.ledger}
	err := d.states.each(func(resource registry.Resource, known *state) {
		if known.record().Unfoldable(d.ledger) != nil {
			return // its changes are among those that failed
		}
		change := OwnerChange{resource, known.Was, known.History.Owner(d.ledger), known.History.Deleted()}
		switch {
		case change.From == change.To:
		case change.Deleted:
			e.Deleted[resource.Kind]++
			e.DeletedSample = among(e.DeletedSample, change, sample)
		case change.From == "":
			e.Registered[resource.Kind]++
			e.RegisteredSample = among(e.RegisteredSample, change, sample)
		default:
			e.Moved[resource.Kind]++
			e.Moves = among(e.Moves, change, sample)
		}
	})
	if err != nil {
		return Effect{}, fmt.Errorf("dry run: %w", err)
	}
	for _, changes := range []*[]OwnerChange{&e.RegisteredSample, &e.Moves, &e.DeletedSample} {
		*changes = first(*changes, sample)
	}
	for name, m := range d.entries {
		if was, _ := d.before.Find(name); m.Counts() != (was.ID != "" && was.Counts()) {
			e.TenantMoves = append(e.TenantMoves, m)
		}
	}
	slices.SortFunc(e.TenantMoves, func(a, b ownership.LedgerEntry) int { return a.Version.Compare(b.Version) })
	return e, nil
}

// among adds a change to those of which the first n are wanted.
func among(changes []OwnerChange, change OwnerChange, n int) []OwnerChange {
	changes = append(changes, change)
	if len(changes) > n+1000 {
		return first(changes, n)
	}
	return changes
}

func first(changes []OwnerChange, n int) []OwnerChange {
	slices.SortFunc(changes, func(a, b OwnerChange) int {
		if a.Resource.DocumentID() < b.Resource.DocumentID() {
			return -1
		}
		return 1
	})
	return changes[:min(n, len(changes))]
}
