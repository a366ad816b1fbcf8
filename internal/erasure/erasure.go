// Package erasure takes a tenant out of a registry: what it owns is deleted, and where
// something else names it, another name takes its place that says nothing. Run can be
// killed at any time, and run again: it goes on with what is left. docs/erasure.md has
// the steps, and why nothing is lost between them.
//
// The steps of Run:
//
//  1. The ledger says that the tenant is erased, and what its new name is. From then on
//     folds take the two for one, and every process writes the new name.
//  2. Documents on whose path the tenant is lose its name, those that it owns become
//     tombstones: once at once, and once more when no process can write any more that
//     did not know of step 1.
//  3. The moves of whole tenants get the new name. The ledger forgets the old one, and
//     its snapshot is deleted.
//  4. Everything that the database holds is searched for the name.
//
// Errors wrap registry.ErrUnavailable, or say what an operator has to do first.
package erasure

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Store is what an erasure takes of the registry's store.
type Store interface {
	Read(ctx context.Context, resources []registry.Resource) (ownership.Snapshot, error)
	Affected(ctx context.Context, page ownership.Page) (records []ownership.Record, more bool, err error)
	CountAffected(ctx context.Context, tenants []string) (int64, error)
	Documents(ctx context.Context) (int64, error)
	EachMove(ctx context.Context, at time.Time, visit func(ownership.LedgerEntry) error) error
	MovesNamed(ctx context.Context, names []ownership.EventName) ([]ownership.LedgerEntry, error)
	ChangeLedger(ctx context.Context, changes []ownership.LedgerChange) []ownership.Outcome
	Forget(ctx context.Context, records []ownership.Record, f ownership.Forget) (written int, err error)
	Empty(ctx context.Context, name ownership.EventName) error
	DropSnapshot(ctx context.Context) error
	WriterHorizon() time.Duration
}

// Eraser erases a tenant.
type Eraser struct {
	Store Store
	// DB is the database, for what is beside the registry, and for the search.
	DB docdb.DB
	// Collections are all that the database has: those of windows, whose documents
	// are deleted if they are the tenant's; those with texts of operators, in which its
	// name is replaced; and others, which are searched.
	Windows, Texts, Others []string
	Rate                   governor.Rate
	// Progress, if not nil, is told how far a step is; total is negative if it is not
	// known.
	Progress func(step string, done, total int64)
}

// Plan is what an erasure would do.
type Plan struct {
	Tenant string `json:"tenant_id"`
	// Documents is how many have the tenant on their path, or as their tenant_id: those
	// that it owns, and those that it had.
	Documents int64 `json:"documents"`
	Moves     int   `json:"moves"` // of whole tenants, that name it
	// Pending are the ids of such moves whose documents have not followed yet.
	Pending []string `json:"pending,omitempty"`
	// Search is how many documents of resources are read in the end.
	Search int64 `json:"search"`
	// Begun says that an erasure of the tenant has begun before.
	Begun bool `json:"begun"`
}

// ErrPending: the documents of a move that names the tenant have not followed yet.
var ErrPending = errors.New("the rewriting after a move that names the tenant has not ended")

// Plan reads what an erasure of the tenant would do, and changes nothing. It reads
// every entry of the ledger.
func (e Eraser) Plan(ctx context.Context, tenant string) (p Plan, err error) {
	p.Tenant = tenant
	now, err := e.Store.Read(ctx, nil)
	if err != nil {
		return p, err
	}
	if err := now.Ledger.Blocked(); err != nil {
		return p, err
	}
	_, p.Begun = now.Ledger.Pseudonym(tenant)
	moves, err := e.named(ctx, tenant)
	if err != nil {
		return p, err
	}
	p.Moves = len(moves)
	for _, m := range moves {
		if m.Rewriting.Pending() {
			p.Pending = append(p.Pending, m.ID)
		}
	}
	if p.Documents, err = e.Store.CountAffected(ctx, []string{tenant}); err != nil {
		return p, err
	}
	p.Search, err = e.Store.Documents(ctx)
	return p, err
}

// named returns the entries of the ledger that name a tenant.
func (e Eraser) named(ctx context.Context, tenant string) (found []ownership.LedgerEntry, err error) {
	err = e.Store.EachMove(ctx, time.Time{}, func(m ownership.LedgerEntry) error {
		if m.Unread != nil {
			return m.Unread
		}
		if m.Named(tenant) && !m.OfErasure() {
			found = append(found, m)
		}
		return nil
	})
	return found, err
}

// Report is what an erasure did.
type Report struct {
	Pseudonym string    `json:"pseudonym"` // the name that took the place of the tenant's
	At        time.Time `json:"at"`        // when the registry said that it was erased
	Documents int       `json:"documents"` // that were written: tombstones, and those without the name
	Deleted   int       `json:"deleted"`   // tombstones among them, about
	Moves     int       `json:"moves"`
	Windows   int       `json:"windows"` // of the throttle, deleted
	Texts     int       `json:"texts"`   // documents in which operators' texts had the name
	Searched  int64     `json:"searched"`
	// Left are documents in which the name still is, by collection and id, the first
	// of them; LeftCount is how many there are.
	Left      []string `json:"left,omitempty"`
	LeftCount int      `json:"left_count"`
}

// Run erases the tenant. by and reason are kept in the ledger, and must not name it.
// The report says what was done until then if there is an error.
func (e Eraser) Run(ctx context.Context, tenant, by, reason string) (r Report, err error) {
	f, since, err := e.begin(ctx, tenant, by, reason)
	if err != nil {
		return r, fmt.Errorf("erase: %w", err)
	}
	r.Pseudonym, r.At = f.Pseudonym, f.At
	steps := []func(context.Context, ownership.Forget, *Report) error{
		e.documents,
		func(ctx context.Context, _ ownership.Forget, _ *Report) error {
			return wait(ctx, time.Until(since.Add(e.Store.WriterHorizon())))
		},
		e.documents,
		e.ledger,
		e.beside,
		e.search,
	}
	for _, step := range steps {
		if err := step(ctx, f, &r); err != nil {
			return r, fmt.Errorf("erase: %w", err)
		}
	}
	return r, nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func (e Eraser) tell(step string, done, total int64) {
	if e.Progress != nil {
		e.Progress(step, done, total)
	}
}
