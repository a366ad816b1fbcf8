package rewrite

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// NamedPlan is what a move that names resources would do.
type NamedPlan struct {
	Plan
	Resources []registry.Resource // that would change hands, in order of kind, then id
	Elsewhere int64               // named, and not the old owner's: they stay as they are
}

// namesAtOnce is how many resources are read at once.
const namesAtOnce = 500

// Which says which of a tenant's resources are meant. The zero value means all.
type Which struct {
	Kind    registry.Kind
	MovedBy MoveID // that came to it by this move
}

func (w Which) means(r ownership.Record, l *ownership.Ledger) bool {
	if w.Kind != "" && r.Resource.Kind != w.Kind {
		return false
	}
	return w.MovedBy == MoveID{} || slices.ContainsFunc(r.History.Explain(l), func(s ownership.Step) bool {
		return s.Effective && w.MovedBy.matches(s.Entry)
	})
}

// Owned plans a move that names the resources that are meant of those that from owns.
func (p Planner) Owned(ctx context.Context, from, to string, which Which) (NamedPlan, error) {
	start, err := p.Store.Read(ctx, nil)
	if err != nil {
		return NamedPlan{}, fmt.Errorf("plan: %w", err)
	}
	all := NamedPlan{Plan: newPlan(start.ReadTime)}
	err = p.each(ctx, visit{tenants: []string{from}, at: start.ReadTime}, func(r ownership.Record) {
		if r.Resource == (registry.Resource{}) || which.means(r, start.Ledger) {
			p.addNamed(&all, r, start.Ledger, from, to, true)
		}
	})
	return all.sorted(), err
}

// Named plans a move of the resources that are named, as far as from owns them.
func (p Planner) Named(ctx context.Context, from, to string, names []registry.Resource) (NamedPlan, error) {
	start, err := p.Store.Read(ctx, nil)
	if err != nil {
		return NamedPlan{}, fmt.Errorf("plan: %w", err)
	}
	all := NamedPlan{Plan: newPlan(start.ReadTime)}
	read := 0
	for chunk := range slices.Chunk(names, namesAtOnce) {
		snapshot, err := p.Store.Read(ctx, chunk)
		if err != nil {
			return all, fmt.Errorf("plan: %w", err)
		}
		for _, r := range snapshot.Records {
			p.addNamed(&all, r, snapshot.Ledger, from, to, false)
		}
		if read += len(chunk); p.Progress != nil {
			p.Progress(int64(read), int64(len(names)))
		}
	}
	return all.sorted(), nil
}

// addNamed adds a resource, if from owns it. found reports that it was found by its
// owner, and not named: then it is nothing to remark that another has it.
func (p Planner) addNamed(all *NamedPlan, r ownership.Record, l *ownership.Ledger, from, to string, found bool) {
	all.Reads++
	owner, err := r.Owner(l)
	switch {
	case err != nil:
		all.Unread++
	case r.Resource == (registry.Resource{}):
		all.Foreign++
	case owner != from && !found:
		all.Elsewhere++
	case owner == from:
		all.Writes++
		all.Resources = append(all.Resources, r.Resource)
		p.change(&all.Plan, OwnerChange{r.Resource, owner, to, r.History.HasPlainSet()})
	}
}

// sorted has the resources in the order of kind and id.
func (n NamedPlan) sorted() NamedPlan {
	slices.SortFunc(n.Resources, func(a, b registry.Resource) int {
		return slices.Compare([]string{string(a.Kind), a.ID}, []string{string(b.Kind), b.ID})
	})
	return n
}

// Fingerprint is of the resources that would change hands, with whom they go from
// and to: two plans with the same one would change the same. Their order is no
// matter.
func (p Plan) Fingerprint() string { return hex.EncodeToString(p.changes[:]) }
