package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

const (
	// The target: so many tenants, of so many documents on average.
	migratedTenants   = 10_000
	migratedDocuments = 300
	migratedWithin    = time.Hour
	// What is migrated here: so many tenants, of so many documents on average, at the
	// foot of the ramp. An emulator has no indexes: it looks at each document of a
	// collection for each query, so that what the queries of all jobs take grows with
	// the square of the tenants.
	migratedSome = 200
	migratedHere = 10
	migratedRate = "100"
	// Tenants in registries of their own, that show what a document takes, and what a
	// job does.
	migratedLarge = 5_000
	migratedMany  = 200
	// What goes on meanwhile, each: checks and creations a second.
	migratedOthers = 25
	migratedQuiet  = 20 * time.Second
	// No part of the suite is waited for any longer.
	migratedPatience = time.Hour
)

// scaleRewriting is the rewriting's part of what must hold. It is measured three
// times. An emulator looks at the whole collection for each query, on the cores that
// everybody shares: what others wait for there is mostly that, and a client that makes
// the worker's calls again without being one says how much. In memory nothing is as
// slow as the distance, so that what others wait for is the worker's doing; and there
// as many tenants as the target has are migrated as well.
func (b *bench) scaleRewriting(ctx context.Context) (scaled, error) {
	slow, err := governor.Parse(migratedRate)
	if err != nil {
		return scaled{}, err
	}
	all := []*massMove{
		{bench: b, at: b.emulated, tenants: migratedSome, average: migratedHere, rate: slow, repeats: true},
		{bench: b, at: b.inMemory, tenants: migratedSome, average: migratedHere, rate: slow},
		{bench: b, at: b.inMemory, tenants: migratedTenants, average: b.options.Migrated, rate: governor.Ramp},
	}
	for i, m := range all {
		parts := []func(context.Context) error{m.measureWorker, m.migrate}
		if i == 2 { // a worker there is as fast as in the place before
			m.perDocument, m.perJob, parts = all[1].perDocument, all[1].perJob, parts[1:]
		}
		for _, part := range parts {
			ctx, cancel := context.WithTimeoutCause(ctx, migratedPatience, fmt.Errorf("has not ended within %v", migratedPatience))
			err := part(ctx)
			cause := context.Cause(ctx)
			cancel()
			if err != nil {
				return scaled{}, fmt.Errorf("rewriting: %w", errors.Join(err, cause))
			}
		}
	}
	return massMoves(all[0], all[1], all[2]), nil
}

// massMove moves many tenants at once.
type massMove struct {
	*bench
	at            func(context.Context) (*place, error)
	tenants       int
	average       int // documents of a tenant
	rate          governor.Rate
	repeats       bool // measure again
	documents     int
	perDocument   time.Duration // of a large tenant, with the whole worker
	perJob        time.Duration // beyond its documents
	quiet, during others
	again         others // beside the worker's calls without the worker
	took          time.Duration
	lags          []time.Duration
	read, written int64
}

// sizeOf is how many documents a tenant has: most have few, some have many times the
// average, as with a Pareto distribution of exponent 1.5.
func (m *massMove) sizeOf(i int) int {
	u := (float64(i) + 0.5) / float64(m.tenants)
	return max(1, int(float64(m.average)/3*math.Pow(1-u, -1/1.5)))
}

func named(prefix string, n int) (tenants []string) {
	for i := range n {
		tenants = append(tenants, fmt.Sprintf("%s_%05d", prefix, i))
	}
	return tenants
}

func threadOf(tenant string, i int) ownership.Change {
	id := fmt.Sprintf("%08x-%s-%d", rand.Uint32(), tenant, i) // ids are random
	return ownership.Change{
		Resource: registry.Resource{Kind: registry.Thread, ID: id},
		Entry:    ownership.Entry{Type: ownership.Created, Tenant: tenant, Version: ownership.Version{Time: epoch, Source: source, ID: id}},
	}
}

// created are the creations of n documents of a tenant.
func created(tenant string, n int) (changes []ownership.Change) {
	for j := range n {
		changes = append(changes, threadOf(tenant, j))
	}
	return changes
}

// applyAll applies changes, as many at once as one commit takes.
func applyAll(ctx context.Context, store *fsregistry.Store, changes []ownership.Change) error {
	for some := range slices.Chunk(changes, 500) {
		if _, no := applied(store.Apply(ctx, some)); no > 0 {
			return fmt.Errorf("%d of %d changes were not applied", no, len(some))
		}
	}
	return nil
}

// movesOf are those of everything that tenants own.
func movesOf(tenants []string) (changes []ownership.Change) {
	for _, t := range tenants {
		changes = append(changes, ownership.Change{Entry: ownership.Entry{Type: ownership.Moved, From: t, To: "t_to",
			Version: ownership.Version{Time: epoch.Add(time.Hour), Source: source, ID: "move-" + t}}})
	}
	return changes
}

// work has a worker do all that is pending, and returns how long that took. What
// failed for the moment, as calls do on a machine that others use, is tried again.
func (m *massMove) work(ctx context.Context, store *fsregistry.Store, rate governor.Rate) (time.Duration, error) {
	w, err := rewrite.New(store, rewrite.Options{Rate: rate})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	for {
		err := w.RunPending(ctx)
		took := time.Since(began)
		if err == nil {
			return took, nil
		}
		if ctx.Err() != nil {
			return took, err
		}
		if errors.Is(err, ownership.ErrNoJob) { // none that may be done now
			left, err := pending(ctx, store)
			if left == 0 || err != nil {
				return took, err
			}
		} else {
			m.say("rewriting  after %v: %v", took.Round(time.Second), err)
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// pending counts the jobs that have not ended.
func pending(ctx context.Context, store *fsregistry.Store) (n int, err error) {
	moves, err := store.Moves(ctx)
	for _, e := range moves {
		if e.Rewriting.Pending() {
			n++
		}
	}
	return n, err
}

// measureWorker measures what one worker takes for a document, and for a job.
func (m *massMove) measureWorker(ctx context.Context) error {
	var took [2]time.Duration
	for i, tenants := range [][]string{{"t_large"}, named("t_many", migratedMany)} {
		var documents []ownership.Change
		for _, t := range tenants {
			documents = append(documents, created(t, [2]int{migratedLarge, 1}[i])...)
		}
		at, err := m.at(ctx)
		if err != nil {
			return err
		}
		took[i], err = m.workAlone(ctx, at, documents, tenants)
		if err := errors.Join(err, at.end()); err != nil {
			return err
		}
	}
	m.perDocument = took[0] / migratedLarge
	m.perJob = max(0, took[1]/migratedMany-m.perDocument)
	m.say("rewriting  a document takes a worker %v, a job %v", m.perDocument, m.perJob)
	return nil
}

// workAlone returns how long a worker without a bound takes for the moves of tenants.
func (m *massMove) workAlone(ctx context.Context, at *place, documents []ownership.Change, tenants []string) (time.Duration, error) {
	store, err := open(ctx, at.db)
	if err != nil {
		return 0, err
	}
	defer store.Close()
	if err := applyAll(ctx, store, append(documents, movesOf(tenants)...)); err != nil {
		return 0, err
	}
	time.Sleep(store.WriterHorizon() + time.Second) // the last pass need not wait
	return m.work(ctx, store, governor.Unlimited)
}

// migrate moves all tenants, while others check and create.
func (m *massMove) migrate(ctx context.Context) error {
	tenants := named("t_mig", m.tenants)
	var documents []ownership.Change
	for i, t := range tenants {
		documents = append(documents, created(t, m.sizeOf(i))...)
	}
	m.documents = len(documents)
	at, err := m.at(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = at.end() }()
	var calls recording
	worker, err := open(ctx, calls.around(at.db))
	if err != nil {
		return err
	}
	defer worker.Close()
	if err := applyAll(ctx, worker, documents); err != nil {
		return err
	}
	if m.quiet, err = at.others(ctx, func() bool { return false }); err != nil {
		return err
	}
	rand.Shuffle(len(tenants), func(i, j int) { tenants[i], tenants[j] = tenants[j], tenants[i] })
	calls.begin()
	began := time.Now()
	m.during, err = at.beside(ctx, func() error {
		if err := applyAll(ctx, worker, movesOf(tenants)); err != nil {
			return err
		}
		_, err := m.work(ctx, worker, m.rate)
		return err
	})
	m.took = time.Since(began)
	if err := errors.Join(err, m.inspect(ctx, worker)); err != nil {
		return err
	}
	if m.repeats {
		m.again, err = at.beside(ctx, func() error { return calls.again(ctx, at.db) })
	}
	return err
}

// inspect learns from the ledger how long direct readers waited.
func (m *massMove) inspect(ctx context.Context, store *fsregistry.Store) error {
	moves, err := store.Moves(ctx)
	if err != nil {
		return err
	}
	for _, e := range moves {
		r := e.Rewriting
		if r.Pending() {
			return fmt.Errorf("the job of %s has not ended", e.ID)
		}
		m.lags = append(m.lags, r.FinishedAt.Sub(r.CommittedAt))
		m.read, m.written = m.read+r.Read, m.written+r.Written
	}
	slices.Sort(m.lags)
	return nil
}
