package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

const (
	// The target: so many tenants, of so many documents on average.
	migratedTenants   = 10_000
	migratedDocuments = 300
	migratedWithin    = time.Hour
	// What is migrated here: so many tenants, of so many documents on average, at the
	// foot of the ramp. That leaves the machine idle for a part of the time, so that
	// what others wait for is not the processor.
	migratedSome = 1000
	migratedHere = 15
	migratedRate = "500"
	// Tenants alone, that show what a document takes, and what a job does.
	migratedLarge = 5_000
	migratedMany  = 200
	// What goes on meanwhile, each: checks and creations a second.
	migratedOthers = 25
	migratedQuiet  = 20 * time.Second
)

// scaleRewriting is the rewriting's part of what must hold.
func (b *bench) scaleRewriting(ctx context.Context) (scaled, error) {
	s, err := b.newLedgerStage()
	if err != nil {
		return scaled{}, err
	}
	defer func() { _ = s.away.close() }()
	m := &massMove{bench: b, ledgerStage: s}
	for _, part := range []func(context.Context) error{m.seed, m.measureWorker, m.migrate} {
		if err := part(ctx); err != nil {
			return scaled{}, fmt.Errorf("rewriting: %w", err)
		}
	}
	return m.scaled(), nil
}

// massMove moves many tenants at once, in a registry of its own.
type massMove struct {
	*bench
	*ledgerStage
	documents     int
	perDocument   time.Duration // of a large tenant, with the whole worker
	perJob        time.Duration // beyond its documents
	quiet, during others
	took          time.Duration
	lags          []time.Duration
	read, written int64
}

// sizeOf is how many documents a tenant has: most have few, some have many times the
// average, as with a Pareto distribution of exponent 1.5.
func sizeOf(i, average int) int {
	u := (float64(i) + 0.5) / migratedSome
	return max(1, int(float64(average)/3*math.Pow(1-u, -1/1.5)))
}

func migrated(i int) string { return fmt.Sprintf("t_mig_%05d", i) }

func threadOf(tenant string, i int) ownership.Change {
	id := fmt.Sprintf("%08x-%s-%d", rand.Uint32(), tenant, i) // ids are random
	return ownership.Change{
		Resource: registry.Resource{Kind: registry.Thread, ID: id},
		Entry:    ownership.Entry{Type: ownership.Created, Tenant: tenant, Version: ownership.Version{Time: epoch, Source: source, ID: id}},
	}
}

// all are the creations of everybody's documents.
func (m *massMove) all() iter.Seq[ownership.Change] {
	return func(yield func(ownership.Change) bool) {
		each := func(tenant string, n int) bool {
			for j := range n {
				if !yield(threadOf(tenant, j)) {
					return false
				}
			}
			return true
		}
		for i := range migratedSome {
			n := sizeOf(i, migratedHere)
			if m.documents += n; !each(migrated(i), n) {
				return
			}
		}
		_ = each("t_large", migratedLarge)
		for i := range migratedMany {
			_ = each(fmt.Sprintf("t_many_%04d", i), 1)
		}
	}
}

func (m *massMove) seed(ctx context.Context) error {
	store, err := m.open(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	apply := func(changes []ownership.Change) {
		group.Go(func() error {
			if _, no := applied(store.Apply(ctx, changes)); no > 0 {
				return fmt.Errorf("%d of %d changes were not applied", no, len(changes))
			}
			return nil
		})
	}
	var changes []ownership.Change
	for c := range m.all() {
		if changes = append(changes, c); len(changes) == 500 {
			apply(changes)
			changes = nil
		}
	}
	apply(changes)
	err = group.Wait()
	m.say("rewriting  %d documents of %d tenants to migrate are seeded, in %v", m.documents, migratedSome, time.Since(began).Round(time.Second))
	return err
}

// moveAll moves tenants, as many at once as one commit takes.
func moveAll(ctx context.Context, store *fsregistry.Store, tenants []string) error {
	for some := range slices.Chunk(tenants, 500) {
		var changes []ownership.Change
		for _, t := range some {
			changes = append(changes, ownership.Change{Entry: ownership.Entry{Type: ownership.Moved, From: t, To: "t_to",
				Version: ownership.Version{Time: epoch.Add(time.Hour), Source: source, ID: "move-" + t}}})
		}
		if _, no := applied(store.Apply(ctx, changes)); no > 0 {
			return fmt.Errorf("%d of %d moves were not applied", no, len(changes))
		}
	}
	return nil
}

// work has a worker do all that is pending, and returns how long that took.
func (m *massMove) work(ctx context.Context, store *fsregistry.Store, rate governor.Rate) (time.Duration, error) {
	w, err := rewrite.New(store, rewrite.Options{Rate: rate})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	err = w.RunPending(ctx)
	return time.Since(began), err
}

// measureWorker measures what one worker takes for a document, and for a job.
func (m *massMove) measureWorker(ctx context.Context) error {
	store, err := m.open(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	many := make([]string, migratedMany)
	for i := range many {
		many[i] = fmt.Sprintf("t_many_%04d", i)
	}
	var took [2]time.Duration
	for i, tenants := range [][]string{{"t_large"}, many} {
		if err := moveAll(ctx, store, tenants); err != nil {
			return err
		}
		time.Sleep(store.WriterHorizon() + time.Second) // the last pass need not wait
		if took[i], err = m.work(ctx, store, governor.Unlimited); err != nil {
			return err
		}
	}
	m.perDocument = took[0] / migratedLarge
	m.perJob = max(0, took[1]/migratedMany-m.perDocument)
	m.say("rewriting  a document takes a worker %v, a job %v", m.perDocument, m.perJob)
	return nil
}

// migrate moves everybody, while others check and create.
func (m *massMove) migrate(ctx context.Context) error {
	worker, err := m.open(ctx)
	if err != nil {
		return err
	}
	defer worker.Close()
	if m.quiet, err = m.others(ctx, func() bool { return false }); err != nil {
		return err
	}
	rate, err := governor.Parse(migratedRate)
	if err != nil {
		return err
	}
	tenants := make([]string, migratedSome)
	for i := range tenants {
		tenants[i] = migrated(i)
	}
	rand.Shuffle(len(tenants), func(i, j int) { tenants[i], tenants[j] = tenants[j], tenants[i] })
	var working sync.WaitGroup
	var workErr error
	ended := make(chan struct{})
	began := time.Now()
	working.Go(func() {
		defer close(ended)
		if workErr = moveAll(ctx, worker, tenants); workErr == nil {
			_, workErr = m.work(ctx, worker, rate)
		}
	})
	m.during, err = m.others(ctx, func() bool {
		select {
		case <-ended:
			return false
		default:
			return true
		}
	})
	working.Wait()
	m.took = time.Since(began)
	return errors.Join(err, workErr, m.inspect(ctx, worker))
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
		if e.From[:5] == "t_mig" {
			m.lags = append(m.lags, r.FinishedAt.Sub(r.CommittedAt))
			m.read, m.written = m.read+r.Read, m.written+r.Written
		}
	}
	slices.Sort(m.lags)
	return nil
}

// others are what checks and creations waited for, in order.
type others struct{ checks, creations []time.Duration }

// others checks and creates for a while, and for as long as goesOn says.
func (m *massMove) others(ctx context.Context, goesOn func() bool) (o others, err error) {
	store, err := m.open(ctx)
	if err != nil {
		return o, err
	}
	defer store.Close()
	v, err := verifier.New(store, verifier.Options{})
	if err != nil {
		return o, err
	}
	defer v.Close()
	var mu sync.Mutex
	var failed error
	ask := func(took *[]time.Duration, do func() error) {
		began := time.Now()
		err := do()
		mu.Lock()
		defer mu.Unlock()
		*took, failed = append(*took, time.Since(began)), errors.Join(failed, err)
	}
	var all sync.WaitGroup
	ticker := time.NewTicker(time.Second / migratedOthers)
	defer ticker.Stop()
	for began, i := time.Now(), 0; ctx.Err() == nil && (time.Since(began) < migratedQuiet || goesOn()); i++ {
		all.Go(func() {
			c := threadOf("t_creator", i)
			ask(&o.creations, func() error { return store.Apply(ctx, []ownership.Change{c})[0].Err })
			ask(&o.checks, func() error { return v.VerifyThreadAccess(ctx, "t_creator", c.Resource.ID) })
		})
		<-ticker.C
	}
	all.Wait()
	slices.Sort(o.checks)
	slices.Sort(o.creations)
	return o, errors.Join(failed, ctx.Err())
}

// target is how long the whole target takes: what the worker needs for its jobs, and
// for its documents at the ramp.
func (m *massMove) target() (all, ramp time.Duration, perSecond float64) {
	each := migratedDocuments*m.perDocument + m.perJob
	perSecond = migratedDocuments / each.Seconds()
	const documents = migratedTenants * migratedDocuments
	return governor.Ramp.DurationFrom(governor.Pace{}, perSecond, documents), governor.Ramp.Duration(documents), perSecond
}

func (m *massMove) scaled() scaled {
	all, ramp, perSecond := m.target()
	rate, _ := governor.Parse(migratedRate)
	wait := func(a, b []time.Duration, p int) string {
		return milliseconds(percentile(a, p)) + ", " + milliseconds(percentile(b, p))
	}
	slower := func(a, b []time.Duration, p int) bool {
		return percentile(b, p) > percentile(a, p)+percentile(a, p)/4
	}
	t := table{title: "Tenants migrated, creations and checks going on", header: []string{"", "seen"}, notes: []string{
		fmt.Sprintf("%v away. The target is %d tenants with %d documents each on average. Migrated here are %d tenants with %d each, spread as tenants are (Pareto, exponent 1.5), at %s documents a second; and one of %d documents, and %d of one, without a bound. The emulator takes no more beside all else on two cores.",
			ledgerRoundTrip, migratedTenants, migratedDocuments, migratedSome, migratedHere, migratedRate, migratedLarge, migratedMany),
		"*The whole target* is computed from that: the ramp, bounded by what a worker of this machine takes, which it shares with the emulator.",
		"*Direct readers* wait from the commit of their tenant's move to the end of its job.",
	}, rows: [][]string{
		{fmt.Sprintf("%s documents of %s tenants", grouped(m.documents), grouped(migratedSome)), m.took.Round(time.Second).String()},
		{"of which the rate takes", rate.Duration(int64(m.documents)).Round(time.Second).String()},
		{"documents read, written", grouped(int(m.read)) + ", " + grouped(int(m.written))},
		{"direct readers: half of them, 99 of 100, all", fmt.Sprintf("%v, %v, %v", percentile(m.lags, 50).Round(time.Second), percentile(m.lags, 99).Round(time.Second), percentile(m.lags, 100).Round(time.Second))},
		{"a worker alone, for a document, and for a job beside", fmt.Sprintf("%v, %v", m.perDocument.Round(time.Microsecond), m.perJob.Round(time.Microsecond))},
		{fmt.Sprintf("so of tenants with %d documents", migratedDocuments), fmt.Sprintf("%.0f documents a second", perSecond)},
		{"the whole target: by the ramp, and by the worker too", fmt.Sprintf("%v, %v", ramp.Round(time.Minute), all.Round(time.Minute))},
		{"checks, without and meanwhile: p50", wait(m.quiet.checks, m.during.checks, 50)},
		{"p99", wait(m.quiet.checks, m.during.checks, 99)},
		{"creations, without and meanwhile: p50", wait(m.quiet.creations, m.during.creations, 50)},
		{"p99", wait(m.quiet.creations, m.during.creations, 99)},
	}}
	return scaled{tables: []table{t}, rows: []scaleRow{
		{fmt.Sprintf("%s tenants of %d documents", grouped(migratedTenants), migratedDocuments), "2 to 2.6 h", "≤ 1 h", all.Round(time.Minute).String(), all <= migratedWithin},
		{"checks meanwhile, p50", "", "as without, + 25 %", wait(m.quiet.checks, m.during.checks, 50), !slower(m.quiet.checks, m.during.checks, 50)},
		{"creations meanwhile, p50", "", "as without, + 25 %", wait(m.quiet.creations, m.during.creations, 50), !slower(m.quiet.creations, m.during.creations, 50)},
	}}
}
