package replay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Comparison is of an archive with a registry, by what each would become with what the
// other knows: an event that would change nothing there is known there, by another name
// perhaps, such as a creation that met a claim. It writes nothing, and is safe for
// concurrent use.
type Comparison struct {
	o       CompareOptions
	mu      sync.Mutex
	missing *DryRun // the registry, with the archive
	archive *DryRun // the archive alone
	failure error   // the first of Missing
}

// CompareOptions say what is compared.
type CompareOptions struct {
	// Since and Before bound the times of the events that are compared; zero: no bound.
	Since, Before time.Time
	Assertions    bool // compare plain sets too, which no publisher's archive has
	MaxClockSkew  time.Duration
	// Missing is called with what the archive knows and the registry does not. After an
	// error it is not called any more, and Compare returns that.
	Missing func(ownership.Change) error
	// Refused and Progress are as in Options.
	Refused  func(Refusal) error
	Progress func(Counts)
}

// Compare reads an archive, and calls Missing. Then the comparison knows what the archive
// holds: Unknown and UnknownMoves look up what the registry has. Close it in the end.
func Compare(ctx context.Context, store DryStore, lines Lines, o CompareOptions) (_ *Comparison, _ Counts, err error) {
	c := &Comparison{o: o}
	if c.missing, err = NewDryRun(ctx, store); err != nil {
		return nil, nil, err
	}
	if c.archive, err = NewDryRun(ctx, nothing{}); err != nil {
		return nil, nil, errors.Join(err, c.missing.Close())
	}
	counts, err := Run(ctx, c, lines, Options{
		Rate: governor.Unlimited, MaxClockSkew: o.MaxClockSkew, Retractions: true, Assertions: o.Assertions,
		Refused: o.Refused, Progress: o.Progress,
	})
	if err = errors.Join(err, c.failure); err != nil {
		return nil, counts, errors.Join(err, c.Close())
	}
	return c, counts, nil
}

// Close gives back what was put aside.
func (c *Comparison) Close() error { return errors.Join(c.missing.Close(), c.archive.Close()) }

// Apply implements consumer.Store, for Run.
func (c *Comparison) Apply(ctx context.Context, changes []ownership.Change) []ownership.Outcome {
	own := c.archive.Apply(ctx, changes)
	outcomes := c.missing.Apply(ctx, changes)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, o := range outcomes {
		if own[i].Err != nil {
			outcomes[i] = own[i]
			continue
		}
		if c.failure == nil && news(o) && c.compares(changes[i].Entry) {
			c.failure = c.o.Missing(changes[i])
		}
	}
	return outcomes
}

// news reports whether the change was not known.
func news(o ownership.Outcome) bool {
	return o.Kind == ownership.Applied || o.Kind == ownership.Inapplicable
}

// compares reports whether an entry is among those that are compared.
func (c *Comparison) compares(e ownership.Entry) bool {
	return (c.o.Assertions || e.Type != ownership.Asserted) &&
		(c.o.Since.IsZero() || !e.Time.Before(c.o.Since)) && (c.o.Before.IsZero() || e.Time.Before(c.o.Before))
}

// Unknown returns what the registry knows of a resource and the archive does not.
func (c *Comparison) Unknown(r ownership.Record) (unknown []ownership.Change, err error) {
	c.archive.mu.Lock()
	defer c.archive.mu.Unlock()
	known, err := c.archive.states.get(r.Resource)
	if err != nil {
		return nil, fmt.Errorf("compare %s: %w", r.Resource, err)
	}
	held := ownership.Record{}
	if known != nil {
		held = known.record()
	}
	for _, e := range r.History {
		if c.compares(e) && news(held.Update([]ownership.Entry{e}, c.archive.ledger).Outcomes[0]) {
			unknown = append(unknown, ownership.Change{Resource: r.Resource, Entry: e})
		}
	}
	return unknown, c.archive.states.trim()
}

// UnknownMoves is Unknown for an entry of the ledger: its move, and each statement of its
// retraction.
func (c *Comparison) UnknownMoves(e ownership.LedgerEntry) (unknown []ownership.Change) {
	c.archive.mu.Lock()
	defer c.archive.mu.Unlock()
	held := c.archive.entries[e.EventName()]
	exists := held.ID != ""
	for _, event := range handlers.ArchiveMove(e) {
		change := handlers.Changes(event)[0]
		if !c.compares(change.Entry) {
			continue
		}
		if _, changed, _ := held.Merge(change.Entry, exists); changed {
			unknown = append(unknown, change)
		}
	}
	return unknown
}

// nothing is a registry that has nothing.
type nothing struct {
	ownership.Store
	ownership.LedgerReader
}

func (nothing) Read(_ context.Context, resources []registry.Resource) (ownership.Snapshot, error) {
	return ownership.Snapshot{Records: make([]ownership.Record, len(resources))}, nil
}

func (nothing) MovesNamed(context.Context, []ownership.EventName) ([]ownership.LedgerEntry, error) {
	return nil, nil
}
