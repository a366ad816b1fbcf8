package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// DryRun is a store that reads from another one, and keeps to itself what it would
// write there: the ledger in memory, and of the resources that the archive names
// those that it named last; what takes more than 16 MiB is put aside into files for
// temporary ones. It is safe for concurrent use.
type DryRun struct {
	store DryStore

	mu      sync.Mutex
	ledger  *ownership.Ledger // with what would be appended
	before  *ownership.Ledger
	entries map[ownership.EventName]ownership.LedgerEntry // that the archive names; without a name: there is none
	named   map[ownership.EventName]bool                  // they were looked for
	states  *states
	fault   error // the first of Names
}

// DryStore is what a dry run reads from.
type DryStore interface {
	ownership.Store
	ownership.LedgerReader
}

// NewDryRun reads the ledger. Close the dry run in the end.
func NewDryRun(ctx context.Context, store DryStore) (*DryRun, error) {
	snapshot, err := store.Read(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("dry run: %w", err)
	}
	d := &DryRun{
		store: store, ledger: snapshot.Ledger, before: snapshot.Ledger,
		entries: map[ownership.EventName]ownership.LedgerEntry{}, named: map[ownership.EventName]bool{}, states: newStates(mostInMemory),
	}
	return d, nil
}

// Close gives back what was put aside. The error says that Names could not tell.
func (d *DryRun) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return errors.Join(d.fault, d.states.close())
}

// Apply implements consumer.Store.
func (d *DryRun) Apply(ctx context.Context, changes []ownership.Change) []ownership.Outcome {
	d.mu.Lock()
	defer d.mu.Unlock()
	outcomes := make([]ownership.Outcome, len(changes))
	err := d.load(ctx, changes)
	if err == nil {
		d.change(changes, outcomes)
		err = d.states.trim()
	}
	if err != nil {
		for i := range outcomes {
			outcomes[i] = ownership.Outcome{Kind: ownership.Failed, Err: fmt.Errorf("dry run: %w", err)}
		}
	}
	return outcomes
}

// change makes changes of resources that are loaded, and of the ledger.
func (d *DryRun) change(changes []ownership.Change, outcomes []ownership.Outcome) {
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
		known := *d.states.memory[resource]
		update := known.record().Update(entries, d.ledger)
		known.History, known.Displaced = update.History, update.Displaced
		d.states.put(resource, known)
		for j, i := range indexes {
			outcomes[i] = update.Outcomes[j]
		}
	}
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
	writes, became := ownership.UpdateLedger(d.ledger.Position(), time.Now(), d.entries, pure)
	for j, i := range indexes {
		outcomes[i] = became[j]
	}
	for _, e := range writes {
		d.entries[e.EventName()] = e
	}
	d.ledger = d.ledger.With(d.ledger.Position()+int64(len(writes)), writes)
}

// loadLedger reads the entries of changes of the ledger that are named for the first
// time.
func (d *DryRun) loadLedger(ctx context.Context, changes []ownership.Change) error {
	var names []ownership.EventName
	for _, c := range changes {
		if name := c.Entry.EventName(); c.OfLedger() && !d.named[name] {
			names, d.named[name] = append(names, name), true
		}
	}
	if len(names) == 0 {
		return nil
	}
	entries, err := d.store.MovesNamed(ctx, names)
	if err != nil {
		for _, name := range names {
			delete(d.named, name)
		}
		return err
	}
	for _, e := range entries {
		d.entries[e.EventName()] = e
	}
	return nil
}

// load gets the resources of changes into memory. Those that are named for the first
// time are read.
func (d *DryRun) load(ctx context.Context, changes []ownership.Change) error {
	if err := d.loadLedger(ctx, changes); err != nil {
		return err
	}
	unknown := map[registry.Resource]bool{}
	for _, c := range changes {
		if c.OfLedger() || unknown[c.Resource] {
			continue
		}
		known, err := d.states.get(c.Resource)
		if err != nil {
			return err
		}
		unknown[c.Resource] = known == nil
	}
	maps.DeleteFunc(unknown, func(_ registry.Resource, is bool) bool { return !is })
	for chunk := range slices.Chunk(slices.Collect(maps.Keys(unknown)), 300) {
		snapshot, err := d.store.Read(ctx, chunk)
		if err != nil {
			return err
		}
		for i, r := range chunk {
			record := snapshot.Records[i]
			known := state{History: record.History, Displaced: record.Displaced}
			if known.unread = record.Unfoldable(d.before); known.unread == nil {
				known.Was = record.History.Owner(d.before)
			}
			d.states.put(r, known)
		}
	}
	return nil
}
