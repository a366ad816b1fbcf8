// Package memory keeps the registry in this process: for tests, for simulations,
// and for `dev` and `run --api` in one process. It passes the same suite as the
// Firestore store, and forgets everything when the process ends.
//
// It works as the Firestore store does: each call reads, folds, and commits on
// the condition that nobody else has written meanwhile, over and over. Open
// makes handles that share the documents but not what they know of the ledger,
// as processes do, and lets a simulation interrupt a call at every step.
package memory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/internal/claimlog"
	"github.com/northstar-engines/realtime-registry/registry/internal/omit"
)

// Step is a point at which a call touches what all handles share.
type Step string

// The steps. Answer comes after a commit: who is interrupted there does not
// learn that it happened. LostRace comes where a commit failed because somebody
// else was faster; an error there has no effect.
const (
	ReadLedger Step = "read ledger"
	ReadRecord Step = "read record"
	Commit     Step = "commit"
	Answer     Step = "answer"
	LostRace   Step = "lost race"
)

// Options make a handle.
type Options struct {
	// LedgerStaleness is for how long a handle folds with a ledger before it
	// reads it anew, CommitDeadline how long a commit may take beyond that:
	// later it fails. Both 0: no commit is made without the newest ledger.
	LedgerStaleness, CommitDeadline time.Duration
	// Interrupt is called before each step. An error makes the step fail with
	// it; where the step is Answer, what was committed stays. May be nil.
	Interrupt func(Step) error
	// Logger is told who claimed what, and whose claim was refused, ten lines a
	// second of each at most. nil: silence.
	Logger *slog.Logger
	// Omit is for proofs of the package's own module.
	Omit omit.Rules
}

// Store is a registry.Store, a registry.Rewriter and a registry.Feed in memory. All methods are
// safe for concurrent use.
type Store struct {
	*database
	o      Options
	known  knownLedger
	claims *claimlog.Log
	began  *registry.Ledger // when the job at hand did; for Omit.Fresh
}

var (
	_ registry.Store    = (*Store)(nil)
	_ registry.Rewriter = (*Store)(nil)
	_ registry.Feed     = (*Store)(nil)
)

// New returns an empty store that takes the time from the machine's clock.
func New() *Store { return NewAt(time.Now) }

// NewAt returns an empty store whose commit times come from now; they are made
// to grow where now does not.
func NewAt(now func() time.Time) *Store {
	return (&Store{database: newDatabase(now)}).Open(Options{})
}

// Open returns a further handle on the same documents, which knows nothing of
// the ledger yet.
func (s *Store) Open(o Options) *Store {
	return &Store{database: s.database, o: o, claims: claimlog.New(o.Logger)}
}

// raceAttempts bounds how often a lost race for a document is run again.
const raceAttempts = 1000

// Apply implements registry.Store. Resources do not wait for the ledger, whose
// changes are one commit.
func (s *Store) Apply(ctx context.Context, changes []registry.Change) []registry.Outcome {
	outcomes := make([]registry.Outcome, len(changes))
	var ledger []registry.LedgerChange
	var places []int                  // of their outcomes
	var resources []registry.Resource // in the order of the changes
	indexes := map[registry.Resource][]int{}
	for i, c := range changes {
		if c.Resource == (registry.Resource{}) {
			ledger, places = append(ledger, c.Entry.LedgerChange()), append(places, i)
			continue
		}
		if err := c.Resource.Validate(); err != nil {
			outcomes[i] = failed("apply", err)
			continue
		}
		if indexes[c.Resource] == nil {
			resources = append(resources, c.Resource)
		}
		indexes[c.Resource] = append(indexes[c.Resource], i)
	}
	for _, resource := range resources {
		entries := make([]registry.Entry, len(indexes[resource]))
		for j, i := range indexes[resource] {
			entries[j] = changes[i].Entry
		}
		update, err := s.merge(ctx, resource, entries)
		for j, i := range indexes[resource] {
			if err != nil {
				outcomes[i] = failed(fmt.Sprintf("apply to %s", resource), err)
			} else {
				outcomes[i] = update.Outcomes[j]
			}
		}
	}
	if len(ledger) > 0 {
		for j, outcome := range s.changeLedger(ctx, ledger) {
			outcomes[places[j]] = outcome
		}
	}
	return outcomes
}

// merge brings entries into one document. An answer that was lost is made good
// for by reading again, once.
func (s *Store) merge(ctx context.Context, resource registry.Resource, entries []registry.Entry) (registry.Update, error) {
	var lost error // the answer to a write that may have been committed
	for range raceAttempts {
		if err := ctx.Err(); err != nil {
			return registry.Update{}, unavailable(err)
		}
		record, ledger, err := s.readFresh(resource)
		if err != nil {
			return registry.Update{}, errors.Join(err, lost)
		}
		update := record.Update(entries, ledger.Ledger)
		if !update.Write {
			return ours(update, lost != nil), nil
		}
		switch err := s.commit(record, update, ledger); {
		case err == nil:
			return update, nil
		case errors.Is(err, errLostRace):
		case lost != nil:
			return registry.Update{}, err
		default:
			lost = err
		}
	}
	return registry.Update{}, unavailable(errors.New("the document never stood still"))
}

// ours makes duplicates of our own write, whose answer was lost, applied.
func ours(u registry.Update, sent bool) registry.Update {
	if !sent {
		return u
	}
	u.Outcomes = slices.Clone(u.Outcomes)
	for i, o := range u.Outcomes {
		if o.Kind == registry.Duplicate {
			u.Outcomes[i].Kind = registry.Applied
		}
	}
	return u
}

// readFresh returns a record, and a ledger that is neither older than the record
// nor than LedgerStaleness.
func (s *Store) readFresh(resource registry.Resource) (registry.Record, *certifiedLedger, error) {
	if err := s.interrupt(ReadRecord); err != nil {
		return registry.Record{}, nil, err
	}
	record := s.record(resource.DocumentID())
	ledger, err := s.freshLedger()
	if err == nil && record.LedgerSeq > ledger.Seq() {
		ledger, err = s.refreshLedger()
	}
	return record, ledger, err
}

// Read implements registry.Store.
func (s *Store) Read(ctx context.Context, resources []registry.Resource) (registry.Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return registry.Snapshot{}, fmt.Errorf("read: %w", unavailable(err))
	}
	for _, r := range resources {
		if err := r.Validate(); err != nil {
			return registry.Snapshot{}, fmt.Errorf("read: %w", err)
		}
	}
	if err := s.interrupt(ReadRecord); err != nil {
		return registry.Snapshot{}, fmt.Errorf("read: %w", err)
	}
	if err := s.mayRead(); err != nil {
		return registry.Snapshot{}, fmt.Errorf("read: %w", err)
	}
	return s.snapshot(resources), nil
}

// Claim implements registry.Store.
func (s *Store) Claim(ctx context.Context, tenantID string, resource registry.Resource) (created bool, err error) {
	defer func() { s.claims.Claim(ctx, tenantID, resource, created, err) }()
	var sent []registry.Entry // claims of ours that may have been committed
	for range raceAttempts {
		snapshot, err := s.Read(ctx, []registry.Resource{resource})
		if err != nil {
			return false, fmt.Errorf("claim %s: %w", resource, err)
		}
		record := snapshot.Records[0]
		update, created, err := record.Claim(tenantID, snapshot.ReadTime, snapshot.Ledger)
		switch {
		case err != nil:
			return false, fmt.Errorf("claim %s: %w", resource, err)
		case !created:
			return record.History.HoldsClaim(sent), nil
		}
		if err := s.mayWrite(); err != nil {
			return false, fmt.Errorf("claim %s: %w", resource, err)
		}
		err = s.commit(record, update, &certifiedLedger{snapshot.Ledger, snapshot.ReadTime})
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, errLostRace):
		case len(sent) > 0:
			return false, fmt.Errorf("claim %s: %w", resource, err)
		default:
			sent = append(sent, registry.ClaimEntry(tenantID, resource, snapshot.ReadTime))
		}
	}
	return false, fmt.Errorf("claim %s: %w", resource, unavailable(errors.New("the document never stood still")))
}

// Export implements registry.Store. It holds the store still while it visits.
func (s *Store) Export(_ context.Context, visit func(registry.Record, *registry.Ledger) error) error {
	if err := s.mayRead(); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return s.visit(visit)
}

// Close implements registry.Store. There is nothing to give back.
func (s *Store) Close() error { return nil }

func (s *Store) interrupt(step Step) error {
	if s.o.Interrupt == nil {
		return nil
	}
	if err := s.o.Interrupt(step); err != nil {
		return unavailable(err)
	}
	return nil
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", registry.ErrUnavailable, err) }

func failed(operation string, err error) registry.Outcome {
	return registry.Outcome{Kind: registry.Failed, Err: fmt.Errorf("%s: %w", operation, err)}
}
