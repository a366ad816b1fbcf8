package rewrite

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
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
	// Kept is, of a retraction, how many more resources stay as they are because
	// of a plain set that came after the move: what that has taken over cannot be
	// told from what the new owner had before, and is not given back.
	Kept int64
	// Foreign documents have a name or a tenant that breaks the patterns; they
	// are left alone.
	Foreign int64
	// Unread documents cannot be told of: they, or an entry of the ledger, are not
	// understood by this version. The rewriting leaves them to one that does.
	Unread int64

	// What the rewriting would cost beyond the one write of the move: the
	// documents that it reads, in all its passes, and that it writes.
	Reads, Writes int64
	// Pending are the jobs that would share the worker with it.
	Pending []Pending
	// Speed is what Lag is reckoned from.
	Speed Speed
	// Lag is how long direct readers of the documents would wait, at least, with
	// those jobs, while a worker runs: for verifiers the owners change at once.
	Lag time.Duration
	// ReadTime is as of when all this was true.
	ReadTime time.Time

	changes [sha256.Size]byte // the sum, byte by byte, of the hashes of all OwnerChanges
}

func newPlan(at time.Time) Plan { return Plan{Owners: map[registry.Kind]int64{}, ReadTime: at} }

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
		ownership.Store
		ownership.Rewriter
		ownership.LedgerReader
	}
	Rate   governor.Rate // of the rewriting; for the lag
	Sample int           // how many resources to name; default 10
	// Progress is told how many documents were read of how many; may be nil.
	Progress func(read, total int64)
}

// Move plans a move of everything that from owns, as if its event had been
// published now. It reads every document that the move would affect, once.
func (p Planner) Move(ctx context.Context, from, to string) (Plan, error) {
	start, err := p.Store.Read(ctx, nil)
	if err != nil {
		return Plan{}, fmt.Errorf("plan: %w", err)
	}
	move := ownership.LedgerEntry{From: from, To: to, Version: ownership.Version{Time: start.ReadTime, Source: "plan", ID: "plan"}}
	plan, err := p.visit(ctx, visit{
		tenants: []string{from}, job: []string{from}, at: start.ReadTime,
		before: start.Ledger, after: start.Ledger.With(start.Ledger.Position()+1, []ownership.LedgerEntry{move}),
	})
	if err != nil {
		return plan, err
	}
	return plan, p.lag(ctx, &plan, nil)
}

// Retraction plans that a move is taken back. It reads every document of the
// move's tenants, those of the new owner for the plain sets among them.
func (p Planner) Retraction(ctx context.Context, move ownership.LedgerEntry) (Plan, error) {
	start, err := p.Store.Read(ctx, nil)
	if err != nil {
		return Plan{}, fmt.Errorf("plan: %w", err)
	}
	retracted := move
	retracted.Retractions = []ownership.Said{{By: "plan"}}
	plan, err := p.visit(ctx, visit{
		tenants: []string{move.From, move.To}, job: []string{move.From}, at: start.ReadTime,
		before: start.Ledger, after: start.Ledger.With(start.Ledger.Position()+1, []ownership.LedgerEntry{retracted}), retracted: &move,
	})
	if err != nil {
		return plan, err
	}
	return plan, p.lag(ctx, &plan, &move)
}

// Between plans that one ledger takes the place of another: it reads the
// documents of the tenants whose moves begin or cease to count, except the
// resources that skip names. It says nothing of the lag.
func (p Planner) Between(ctx context.Context, before, after *ownership.Ledger, skip func(registry.Resource) bool) (Plan, error) {
	start, err := p.Store.Read(ctx, nil)
	if err != nil {
		return Plan{}, fmt.Errorf("plan: %w", err)
	}
	tenants := movedDifferently(before, after)
	if len(tenants) == 0 {
		return newPlan(start.ReadTime), nil
	}
	return p.visit(ctx, visit{tenants: tenants, job: tenants, at: start.ReadTime, before: before, after: after, skip: skip})
}

// movedDifferently are the tenants away from whom one ledger has a move that the
// other has not.
func movedDifferently(before, after *ownership.Ledger) (tenants []string) {
	for _, two := range [][2]*ownership.Ledger{{before, after}, {after, before}} {
		for m := range two[0].Counting() {
			if other, ok := two[1].Find(m.EventName()); !ok || !other.Counts() || m.Version.Compare(other.Version) != 0 || m.From != other.From || m.To != other.To {
				tenants = append(tenants, m.From)
			}
		}
	}
	slices.Sort(tenants)
	return slices.Compact(tenants)
}

// visit is what a plan looks at.
type visit struct {
	tenants       []string // whose documents are read
	job           []string // whose documents the rewriting reads
	at            time.Time
	before, after *ownership.Ledger
	retracted     *ownership.LedgerEntry       // may be nil
	skip          func(registry.Resource) bool // may be nil
}

// visit reads documents, and sums up all but the lag.
func (p Planner) visit(ctx context.Context, v visit) (Plan, error) {
	plan := newPlan(v.at)
	err := p.each(ctx, v, func(r ownership.Record) { p.add(&plan, r, v) })
	return plan, err
}

// each calls f with every document of the tenants.
func (p Planner) each(ctx context.Context, v visit, f func(ownership.Record)) error {
	total, err := p.Store.CountAffected(ctx, v.tenants)
	if err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	var read int64
	page := ownership.Page{Tenants: v.tenants, Limit: 10_000, Bytes: pageBytes, At: v.at}
	for {
		records, more, err := p.Store.Affected(ctx, page)
		if err != nil {
			return fmt.Errorf("plan: %w", err)
		}
		for _, r := range records {
			f(r)
		}
		read += int64(len(records))
		if p.Progress != nil {
			p.Progress(read, total)
		}
		if !more {
			return nil
		}
		page.After = records[len(records)-1].Document
	}
}

func (p Planner) add(plan *Plan, r ownership.Record, v visit) {
	if v.skip != nil && v.skip(r.Resource) {
		return
	}
	rewritten := r.Affected(v.job)
	if rewritten {
		plan.Reads++
	}
	was, err := r.Owner(v.before)
	is, err2 := r.Owner(v.after)
	if err != nil || err2 != nil {
		plan.Unread++
		return
	}
	if r.Resource == (registry.Resource{}) || registry.ValidateTenant(was) != nil {
		plan.Foreign++
		return
	}
	if rewritten && r.Update(nil, v.after).Write {
		plan.Writes++
	}
	if was == is {
		if m := v.retracted; m != nil && was != m.From && r.History.SetPlainAfter(m.Version) {
			plan.Kept++
		}
		return
	}
	p.change(plan, OwnerChange{r.Resource, was, is, r.History.HasPlainSet()})
}

// change notes that a resource would change hands.
func (p Planner) change(plan *Plan, c OwnerChange) {
	plan.Owners[c.Resource.Kind]++
	if c.Plain {
		plan.Plain++
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s", c.Resource, c.From, c.To))
	for i, b := range sum {
		plan.changes[i] += b
	}
	sample := p.Sample
	if sample == 0 {
		sample = 10
	}
	if len(plan.Sample) < sample {
		plan.Sample = append(plan.Sample, c)
	}
}

// lag finds the jobs that are pending, except the one that a retraction of its
// move would end, and how long all take.
func (p Planner) lag(ctx context.Context, plan *Plan, retracted *ownership.LedgerEntry) error {
	moves, err := p.Store.PendingMoves(ctx, 0, mostPending)
	if err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	moves = slices.DeleteFunc(moves, func(m ownership.LedgerEntry) bool {
		return retracted != nil && m.SameEvent(retracted.Version)
	})
	if plan.Pending, err = p.Pending(ctx, moves); err != nil {
		return err
	}
	if plan.Speed, err = p.Speed(ctx, plan.ReadTime); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	horizon, work := p.Store.WriterHorizon(), plan.Speed.Duration(plan.Reads)
	beside := shares(plan.Pending)(plan.Reads) + plan.Reads
	plan.Lag = max(horizon+work, plan.Speed.Duration(beside))
	if 0 < horizon && work <= horizon {
		plan.Reads *= 2 // a first and a last pass
	}
	return nil
}
