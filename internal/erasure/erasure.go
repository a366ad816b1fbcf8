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
// A tenant of which the registry knows nothing is not erased, unless that is asked for:
// it was misspelt, probably, and erasing it would bar the name for ever (Plan.Known).
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
	Forget(ctx context.Context, records []ownership.Record, f ownership.Forget) (ownership.Forgotten, error)
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
	// Unknown has a tenant erased of which the registry knows nothing: its name is
	// barred, and what comes of it is taken under the other name.
	Unknown bool
	// Progress, if not nil, is told at the beginning of each step, and then how far it
	// is. It is called by the goroutine of Plan or Run, and must not wait.
	Progress func(Progress)
}

// Progress is how far a step is.
type Progress struct {
	Step        Step
	Done, Total int64 // of what the step counts; Total is negative if it is not known
}

// Step is a step of Plan or Run.
type Step string

// The steps, and what each counts.
const (
	ReadLedger Step = "read the ledger"   // entries
	Documents  Step = "documents"         // that the tenant owns, or had
	Wait       Step = "wait for writers"  // seconds
	Moves      Step = "moves"             // of whole tenants
	Beside     Step = "what is beside it" // documents of windows and operators
	Search     Step = "search"            // documents of everything
)

// Plan is what an erasure would do.
type Plan struct {
	Tenant string `json:"tenant_id"`
	// Documents is how many have the tenant on their path, or as their tenant_id: those
	// that it owns, and those that it had.
	Documents int64 `json:"documents"`
	Moves     int   `json:"moves"`   // of whole tenants, that name it
	Windows   int   `json:"windows"` // of the throttle, that would be deleted
	// Pending are the ids of moves by which the tenant may have got, or lost, what
	// documents do not say yet.
	Pending []string `json:"pending,omitempty"`
	// Search is how many documents of resources are read in the end.
	Search int64 `json:"search"`
	// Begun says that an erasure of the tenant has begun before.
	Begun bool `json:"begun"`
	// Known says that the registry knows the tenant: by one of the above. Events that
	// had no effect, or lost their place, do not count: only a search finds these.
	Known bool `json:"known"`
}

// What stands in the way of an erasure.
var (
	// ErrPending: documents of the tenant have not followed a move yet.
	ErrPending = errors.New("the rewriting after a move that concerns the tenant has not ended")
	// ErrUnknown: the registry knows nothing of the tenant.
	ErrUnknown = errors.New("the registry knows nothing of the tenant")
	// ErrPseudonym: the name is one that took the place of an erased tenant's.
	ErrPseudonym = errors.New("the tenant was erased: this is the name in its place")
)

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
	moves, pending, err := e.named(ctx, tenant)
	if err != nil {
		return p, err
	}
	p.Moves, p.Pending = len(moves), waitedFor(pending, now.Ledger, tenant)
	if p.Documents, err = e.Store.CountAffected(ctx, []string{tenant}); err != nil {
		return p, err
	}
	if err := e.windows(ctx, tenant, func(string) error { p.Windows++; return nil }); err != nil {
		return p, err
	}
	p.Known = p.Begun || p.Documents > 0 || p.Moves+p.Windows > 0
	p.Search, err = e.Store.Documents(ctx)
	return p, err
}

// Report is what an erasure did. What an earlier run of it has done is not counted, nor
// is what was written without an answer.
type Report struct {
	Pseudonym string    `json:"pseudonym"` // the name that took the place of the tenant's
	At        time.Time `json:"at"`        // when the registry said that it was erased
	// Documents are those of Plan.Documents, and what came meanwhile; Deleted of them
	// are tombstones now, the others have lost the name.
	Documents int `json:"documents"`
	Deleted   int `json:"deleted"`
	// Found are those that the search has found beside them, with the name in events
	// that had no effect, or lost their place. They have lost it too.
	Found    int   `json:"found"`
	Moves    int   `json:"moves"`
	Windows  int   `json:"windows"` // of the throttle, deleted
	Texts    int   `json:"texts"`   // documents in which operators' texts had the name
	Searched int64 `json:"searched"`
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
			return e.wait(ctx, time.Until(since.Add(e.Store.WriterHorizon())))
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

// wait waits, and tells each second of it.
func (e Eraser) wait(ctx context.Context, d time.Duration) error {
	total := int64((d + time.Second - 1) / time.Second)
	for done := int64(0); d > 0; done++ {
		e.tell(Wait, done, total)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(d, time.Second)):
			d -= time.Second
		}
	}
	return nil
}

func (e Eraser) tell(step Step, done, total int64) {
	if e.Progress != nil {
		e.Progress(Progress{step, done, total})
	}
}
