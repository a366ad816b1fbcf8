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
	// Documents is how many it concerns: counted by its worker, or now. For
	// uncounted jobs behind the first MostCounted it is the average of the others.
	Documents int64
	// Left is how long it takes, at least, until it has ended, with its share of the
	// worker, its wait, and the passes to come, while a worker runs.
	Left time.Duration

	wait time.Duration // until its last pass may begin
	rest int64         // documents that are still to be visited
}

// MostCounted is how many jobs are counted for one answer: each takes a query.
// mostPending is how many jobs a plan looks at: each is a read.
const (
	MostCounted = 20
	mostPending = 500
)

// Pending lists those of the moves whose job has not ended and is not parked, in the
// order of their changes.
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
	speed, err := p.Speed(ctx, start.ReadTime)
	if err != nil {
		return nil, fmt.Errorf("pending jobs: %w", err)
	}
	var pending []Pending
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
		pending = append(pending, p.toDo(m, documents, start.ReadTime))
	}
	shared, now := shares(pending), shares(slices.DeleteFunc(slices.Clone(pending), func(j Pending) bool { return j.wait > 0 }))
	for i, job := range pending {
		share := shared
		if job.wait == 0 {
			share = now // the others come later
		}
		pending[i].Left = max(job.wait+speed.Duration(job.rest), speed.Duration(share(job.rest)))
	}
	return pending, nil
}

// toDo is a job with what is left of it.
func (p Planner) toDo(m ownership.LedgerEntry, documents int64, now time.Time) Pending {
	r := m.Rewriting
	if r.Last {
		return Pending{Move: m, Documents: documents, rest: max(0, documents-r.Passed)}
	}
	committed := r.CommittedAt
	if committed.IsZero() {
		committed = m.ChangedAt
	}
	return Pending{Move: m, Documents: documents, rest: documents, wait: max(0, committed.Add(p.Store.WriterHorizon()).Sub(now))}
}

// shares returns how many documents of all jobs are visited until one with n has
// ended: they share the worker, so of each as many as of this one, if it has them.
func shares(pending []Pending) func(n int64) int64 {
	rest := make([]int64, len(pending))
	for i, job := range pending {
		rest[i] = job.rest
	}
	slices.Sort(rest)
	upTo := make([]int64, len(rest)+1)
	for i, n := range rest {
		upTo[i+1] = upTo[i] + n
	}
	return func(n int64) int64 {
		smaller, _ := slices.BinarySearch(rest, n)
		return upTo[smaller] + int64(len(rest)-smaller)*n
	}
}
