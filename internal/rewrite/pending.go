package rewrite

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// Pending is a job that has not ended.
type Pending struct {
	Move ownership.LedgerEntry
	// Documents is how many it concerns: counted by its worker, or now. Of jobs
	// behind the first MostCounted that nobody has counted it is the average of the
	// others.
	Documents int64
	// Left is how long it takes, at least, until it has ended, with the jobs
	// before it, the wait in each, and the passes to come, while a worker runs.
	Left time.Duration
}

// MostCounted is how many jobs are counted for one answer: each takes a query.
// mostPending is how many jobs a plan looks at: each is a read.
const (
	MostCounted = 20
	mostPending = 500
)

// Pending lists those of the moves whose job has not ended and is not parked, in the
// order in which the jobs are done.
func (p Planner) Pending(ctx context.Context, moves []ownership.LedgerEntry) ([]Pending, error) {
	moves = slices.DeleteFunc(slices.Clone(moves), func(m ownership.LedgerEntry) bool {
		return !m.Rewriting.Pending() || m.Rewriting.Parked() || m.Unread != nil
	})
	if len(moves) == 0 {
		return nil, nil
	}
	slices.SortFunc(moves, func(a, b ownership.LedgerEntry) int { return cmp.Compare(a.Position, b.Position) })
	start, err := p.Store.Read(ctx, nil) // for the store's time
	if err != nil {
		return nil, fmt.Errorf("pending jobs: %w", err)
	}
	var pending []Pending
	var before time.Duration
	var all int64
	counted := 0
	for i, m := range moves {
		documents := m.Rewriting.Total
		if documents == 0 && counted == MostCounted {
			documents = all / int64(i)
		} else if documents == 0 {
			if documents, err = p.Store.CountAffected(ctx, m.Rewriting.Tenants); err != nil {
				return nil, fmt.Errorf("pending jobs: %w", err)
			}
			counted++
		}
		all += documents
		before = p.left(m, documents, start.ReadTime, before)
		pending = append(pending, Pending{m, documents, before})
	}
	return pending, nil
}

// left is how long it takes until a job has ended whose turn comes after so long.
func (p Planner) left(m ownership.LedgerEntry, documents int64, now time.Time, turn time.Duration) time.Duration {
	r := m.Rewriting
	rest := p.Rate.Duration(max(0, documents-r.Passed)) // a worker that takes it up begins at the foot of the ramp
	if r.State == ownership.RewritingRunning {
		rest = max(0, p.Rate.Duration(documents)-p.Rate.Duration(r.Passed))
	}
	if r.Last {
		return turn + rest
	}
	committed := r.CommittedAt
	if committed.IsZero() {
		committed = m.ChangedAt
	}
	last := max(turn, committed.Add(p.Store.WriterHorizon()).Sub(now)) // its last pass begins
	if r.Passed > 0 {
		last = max(last, turn+rest)
	}
	return last + p.Rate.Duration(documents)
}
