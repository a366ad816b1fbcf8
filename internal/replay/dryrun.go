package replay

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// DryRun is a store that reads from another one, and keeps in memory what it
// would write there. It is safe for concurrent use.
type DryRun struct {
	store ownership.Store

	mu      sync.Mutex
	ledger  *ownership.Ledger // with what would be appended
	before  *ownership.Ledger
	entries map[ownership.EventName]ownership.LedgerEntry
	records map[registry.Resource]*dryRecord
}

// dryRecord is kept for every resource that the archive names.
type dryRecord struct {
	was    string // the owner before
	unread bool   // who that was cannot be told
	now    ownership.Record
}

// NewDryRun reads the ledger.
func NewDryRun(ctx context.Context, store ownership.Store) (*DryRun, error) {
	snapshot, err := store.Read(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("dry run: %w", err)
	}
	d := &DryRun{
		store: store, ledger: snapshot.Ledger, before: snapshot.Ledger,
		entries: map[ownership.EventName]ownership.LedgerEntry{}, records: map[registry.Resource]*dryRecord{},
	}
	for _, e := range snapshot.Ledger.Entries() {
		d.entries[e.EventName()] = e
	}
	return d, nil
}

// Apply implements Store.
func (d *DryRun) Apply(ctx context.Context, changes []ownership.Change) []ownership.Outcome {
	d.mu.Lock()
	defer d.mu.Unlock()
	outcomes := make([]ownership.Outcome, len(changes))
	if err := d.load(ctx, changes); err != nil {
		for i := range outcomes {
			outcomes[i] = ownership.Outcome{Kind: ownership.Failed, Err: err}
		}
		return outcomes
	}
	var ledger []int
	byResource := map[registry.Resource][]int{} // as the stores do, one update for each
	for i, c := range changes {
		if c.OfLedger() {
			ledger = append(ledger, i)
		} else {
			byResource[c.Resource] = append(byResource[c.Resource], i)
		}
	}
	d.changeLedger(changes, ledger, outcomes)
	for resource, indexes := range byResource {
		entries := make([]ownership.Entry, len(indexes))
		for j, i := range indexes {
			entries[j] = changes[i].Entry
		}
		r := d.records[resource]
		update := r.now.Update(entries, d.ledger)
		r.now.History, r.now.Displaced = update.History, update.Displaced
		for j, i := range indexes {
			outcomes[i] = update.Outcomes[j]
		}
	}
	return outcomes
}

// changeLedger brings changes, by their indexes, into the ledger.
func (d *DryRun) changeLedger(changes []ownership.Change, indexes []int, outcomes []ownership.Outcome) {
	if len(indexes) == 0 {
		return
	}
	pure := make([]ownership.LedgerChange, len(indexes))
	for j, i := range indexes {
		pure[j] = changes[i].Entry.LedgerChange()
	}
	writes, became := ownership.UpdateLedger(d.ledger.Seq(), time.Now(), d.entries, pure)
	for j, i := range indexes {
		outcomes[i] = became[j]
	}
	for _, e := range writes {
		d.entries[e.EventName()] = e
	}
	d.ledger = d.ledger.With(d.ledger.Seq()+int64(len(writes)), writes)
}

// load reads the resources that are named for the first time.
func (d *DryRun) load(ctx context.Context, changes []ownership.Change) error {
	var missing []registry.Resource
	for _, c := range changes {
		if !c.OfLedger() && d.records[c.Resource] == nil {
			d.records[c.Resource] = &dryRecord{}
			missing = append(missing, c.Resource)
		}
	}
	for chunk := range slices.Chunk(missing, 300) {
		snapshot, err := d.store.Read(ctx, chunk)
		if err != nil {
			for _, r := range missing {
				delete(d.records, r)
			}
			return err
		}
		for i, r := range chunk {
			record := &dryRecord{now: snapshot.Records[i]}
			if record.unread = record.now.Unfoldable(d.before) != nil; !record.unread {
				record.was = record.now.History.Owner(d.before)
			}
			d.records[r] = record
		}
	}
	return nil
}

// Effect is what a dry run found would become of resources that the archive
// names.
type Effect struct {
	Registered, Moved       map[registry.Kind]int
	RegisteredSample, Moves []OwnerChange
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
}

// Names reports whether the archive names the resource.
func (d *DryRun) Names(r registry.Resource) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.records[r] != nil
}

// Effect sums up; at most sample changes of each sort are named, the first by
// the bytes of kind, then id.
func (d *DryRun) Effect(sample int) Effect {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := Effect{Registered: map[registry.Kind]int{}, Moved: map[registry.Kind]int{}, Before: d.before, After: d.ledger}
	for resource, r := range d.records {
		if r.unread || r.now.Unfoldable(d.ledger) != nil {
			continue // its changes are among those that failed
		}
		change := OwnerChange{resource, r.was, r.now.History.Owner(d.ledger)}
		switch {
		case change.From == change.To:
		case change.From == "":
			e.Registered[resource.Kind]++
			e.RegisteredSample = among(e.RegisteredSample, change, sample)
		default:
			e.Moved[resource.Kind]++
			e.Moves = among(e.Moves, change, sample)
		}
	}
	e.RegisteredSample, e.Moves = first(e.RegisteredSample, sample), first(e.Moves, sample)
	was := map[[2]string]bool{}
	for _, m := range d.before.Entries() {
		was[[2]string{m.Source, m.ID}] = m.Counts()
	}
	for _, m := range d.ledger.Entries() {
		if m.Counts() != was[[2]string{m.Source, m.ID}] {
			e.TenantMoves = append(e.TenantMoves, m)
		}
	}
	return e
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
