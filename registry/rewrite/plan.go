package rewrite

import (
	"context"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Plan is what a change of the ledger would do, as of one time.
type Plan struct {
	// Owners counts, by kind, the resources whose owner would change; Sample
	// has the first of them.
	Owners map[registry.Kind]int64
	Sample []OwnerChange
	// Plain is how many of them carry plain sets, for which neither a move nor
	// its retraction can promise anything: the next plain set overrides both.
	Plain int64
	// Foreign documents have a name or a tenant that breaks the patterns; they
	// are left alone.
	Foreign int64

	// What the rewriting would cost beyond the one write of the move: the
	// documents that it reads, in all its passes, and that it writes.
	Reads, Writes int64
	// Lag is how long direct readers of the documents would wait, at least: for
	// verifiers the owners change at once.
	Lag time.Duration
	// ReadTime is as of when all this was true.
	ReadTime time.Time
}

// OwnerChange is a resource that would change hands.
type OwnerChange struct {
	Resource registry.Resource
	From, To string
	Plain    bool
}

// Changing is how many resources would change hands.
func (p Plan) Changing() (n int64) {
	for _, count := range p.Owners {
		n += count
	}
	return n
}

// Planner finds out what a change of the ledger would do, and changes nothing.
type Planner struct {
	Store interface {
		registry.Store
		registry.Rewriter
	}
	Rate   governor.Rate // of the rewriting; for the lag
	Sample int           // how many resources to name; default 10
	// Progress is told how many documents were read of how many; may be nil.
	Progress func(read, total int64)
}

// Move plans a move of everything that from owns, as if its event had been
// published now. It reads every document that the move would affect, once.
func (p Planner) Move(ctx context.Context, from, to string) (Plan, error) {
	return p.plan(ctx, []string{from}, func(entries []registry.LedgerEntry, now time.Time) []registry.LedgerEntry {
		return append(entries, registry.LedgerEntry{From: from, To: to, Version: registry.Version{Time: now, Source: "plan", ID: "plan"}})
	})
}

// Retraction plans that a move is taken back.
func (p Planner) Retraction(ctx context.Context, move registry.LedgerEntry) (Plan, error) {
	return p.plan(ctx, []string{move.From}, func(entries []registry.LedgerEntry, _ time.Time) []registry.LedgerEntry {
		for i, e := range entries {
			if e.SameEvent(move.Version) {
				entries[i].Retracted = true
			}
		}
		return entries
	})
}

func (p Planner) plan(ctx context.Context, tenants []string, change func([]registry.LedgerEntry, time.Time) []registry.LedgerEntry) (Plan, error) {
	start, err := p.Store.Read(ctx, nil)
	if err != nil {
		return Plan{}, fmt.Errorf("plan: %w", err)
	}
	total, err := p.Store.CountAffected(ctx, tenants)
	if err != nil {
		return Plan{}, fmt.Errorf("plan: %w", err)
	}
	entries := append([]registry.LedgerEntry(nil), start.Ledger.Entries()...)
	before, after := start.Ledger, registry.NewLedger(start.Ledger.Seq()+1, change(entries, start.ReadTime))

	plan := Plan{Owners: map[registry.Kind]int64{}, ReadTime: start.ReadTime}
	var read int64
	page := registry.Page{Tenants: tenants, Limit: 10_000, At: start.ReadTime}
	for {
		records, err := p.Store.Affected(ctx, page)
		if err != nil {
			return Plan{}, fmt.Errorf("plan: %w", err)
		}
		for _, r := range records {
			p.add(&plan, r, before, after)
		}
		read += int64(len(records))
		if p.Progress != nil {
			p.Progress(read, total)
		}
		if len(records) < page.Limit {
			break
		}
		page.After = records[len(records)-1].Document
	}
	work := p.Rate.Duration(read)
	plan.Reads, plan.Lag = read, p.Store.Settling()+work
	if work <= p.Store.Settling() {
		plan.Reads *= 2 // a first and a last pass
	}
	return plan, nil
}

func (p Planner) add(plan *Plan, r registry.Record, before, after *registry.Ledger) {
	was, is := r.Owner(before), r.Owner(after)
	if r.Resource == (registry.Resource{}) || registry.ValidateTenant(was) != nil {
		plan.Foreign++
		return
	}
	if r.Update(nil, after).Write {
		plan.Writes++
	}
	if was == is {
		return
	}
	plan.Owners[r.Resource.Kind]++
	plain := r.History.HasPlainSet()
	if plain {
		plan.Plain++
	}
	sample := p.Sample
	if sample == 0 {
		sample = 10
	}
	if len(plan.Sample) < sample {
		plan.Sample = append(plan.Sample, OwnerChange{r.Resource, was, is, plain})
	}
}
