package rewrite

import (
	"context"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Verification is what a move has come to, as of one time, by every document of the
// tenants that it is about.
type Verification struct {
	// Moved counts, by kind, the resources that changed hands by the move, and count
	// as changed now; it is empty of a move that is retracted.
	Moved map[registry.Kind]int64
	// Elsewhere is how many of these another owner has by now: later moves.
	Elsewhere int64
	// Left counts the resources that the old owner has: what it created since, what
	// the move did not name, or what came back.
	Left int64
	// Stale is how many documents say another tenant_id than the fold: direct readers
	// of them are not told the owner. Sample has the first of them.
	Stale    int64
	Sample   []OwnerChange // from what is stored, to what the fold says
	Unread   int64         // documents that this version does not understand
	ReadTime time.Time
}

// MoveID names a move: its event, or the events into which a list of resources was
// cut, whose ids go on with a slash.
type MoveID struct{ Source, ID string } // Source may be empty: any

func (m MoveID) matches(e ownership.Entry) bool {
	return (m.Source == "" || e.Source == m.Source) && (e.Version.ID == m.ID || strings.HasPrefix(e.Version.ID, m.ID+"/"))
}

// Verify reads every document of the two tenants, and says what the move has come
// to.
func (p Planner) Verify(ctx context.Context, move MoveID, from, to string) (Verification, error) {
	start, err := p.Store.Read(ctx, nil)
	if err != nil {
		return Verification{}, err
	}
	v := Verification{Moved: map[registry.Kind]int64{}, ReadTime: start.ReadTime}
	err = p.each(ctx, visit{tenants: []string{from, to}, at: start.ReadTime}, func(r ownership.Record) {
		p.verify(&v, r, start.Ledger, move, from)
	})
	return v, err
}

func (p Planner) verify(v *Verification, r ownership.Record, l *ownership.Ledger, move MoveID, from string) {
	owner, err := r.Owner(l)
	switch {
	case err != nil:
		v.Unread++
		return
	case r.Resource == (registry.Resource{}): // another program's name
		return
	case owner == from:
		v.Left++
	}
	if r.TenantID != owner {
		v.Stale++
		if len(v.Sample) < p.Sample {
			v.Sample = append(v.Sample, OwnerChange{r.Resource, r.TenantID, owner, r.Plain})
		}
	}
	for _, step := range r.History.Explain(l) {
		if step.Effective && move.matches(step.Entry) {
			v.Moved[r.Resource.Kind]++
			if owner != step.To {
				v.Elsewhere++
			}
			return
		}
	}
}
