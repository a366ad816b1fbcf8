package rewrite_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memory"
	"github.com/northstar-engines/realtime-registry/registry/rewrite"
)

// world is a registry in memory, with a clock that only sleeping moves.
type world struct {
	*testing.T
	now    time.Time
	store  *memory.Store
	slept  time.Duration
	asleep func() // what happens meanwhile
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, now: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}
	w.store = memory.NewAt(func() time.Time { return w.now })
	return w
}

// process is a further process: it folds with a ledger of up to 5 s ago.
func (w *world) process(interrupt func(memory.Step) error) *memory.Store {
	return w.store.Open(memory.Options{LedgerStaleness: 5 * time.Second, CommitDeadline: 10 * time.Second, Interrupt: interrupt})
}

func (w *world) worker(store registry.Rewriter, change ...func(*rewrite.Options)) *rewrite.Worker {
	w.Helper()
	o := rewrite.Options{
		Rate: governor.Unlimited,
		Page: 7,
		Now:  func() time.Time { return w.now },
		Sleep: func(ctx context.Context, d time.Duration) error {
			if w.asleep != nil {
				w.asleep()
			}
			w.now, w.slept = w.now.Add(d), w.slept+d
			return ctx.Err()
		},
	}
	for _, c := range change {
		c(&o)
	}
	worker, err := rewrite.New(store, o)
	require.NoError(w, err)
	return worker
}

func (w *world) create(s registry.Store, tenant string, ids ...string) {
	w.Helper()
	for _, id := range ids {
		w.apply(s, registry.Change{
			Resource: registry.Resource{Kind: registry.Thread, ID: id},
			Entry:    registry.Entry{Type: registry.Created, Tenant: tenant, Version: registry.Version{Time: time.Unix(1, 0), Source: "//nexus", ID: id}},
		})
	}
}

func (w *world) move(s registry.Store, from, to, id string) {
	w.Helper()
	w.apply(s, registry.Change{Entry: registry.Entry{Type: registry.Moved, From: from, To: to,
		Version: registry.Version{Time: time.Unix(100, 0), Source: "//nexus", ID: id}}})
}

func (w *world) apply(s registry.Store, c registry.Change) {
	w.Helper()
	o := s.Apply(context.Background(), []registry.Change{c})[0]
	require.NoError(w, o.Err)
}

// wrong lists documents that are not what the fold says.
func (w *world) wrong() (names []string) {
	require.NoError(w, w.store.Export(context.Background(), func(r registry.Record, l *registry.Ledger) error {
		if r.Update(nil, l).Write {
			names = append(names, r.Document)
		}
		return nil
	}))
	return names
}

func (w *world) entry(id string) registry.LedgerEntry {
	moves, err := w.store.Moves(context.Background())
	require.NoError(w, err)
	for _, m := range moves {
		if m.ID == id {
			return m
		}
	}
	w.Fatalf("no move %s", id)
	return registry.LedgerEntry{}
}

func ids(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint("th-", i))
	}
	return all
}

func TestDocumentsFollowAMoveAndItsRetraction(t *testing.T) {
	w := newWorld(t)
	w.create(w.store, "t_a", ids(20)...)
	w.create(w.store, "t_x", "other")
	w.move(w.store, "t_a", "t_b", "m")
	require.Len(t, w.wrong(), 20)
	worker := w.worker(w.process(nil))
	require.NoError(t, worker.RunNext(t.Context()))
	require.Empty(t, w.wrong())
	job := w.entry("m").Rewriting
	require.Equal(t, registry.RewritingDone, job.State)
	require.EqualValues(t, 20, job.Total)
	require.EqualValues(t, 20, job.Written, "what is affected, once")
	require.EqualValues(t, 40, job.Read, "in a first and a last pass")
	require.ErrorIs(t, worker.RunNext(t.Context()), registry.ErrNoJob)

	require.NoError(t, w.store.Retract(t.Context(), registry.Retraction{Source: "//nexus", ID: "m"}).Err)
	require.Len(t, w.wrong(), 20)
	require.NoError(t, worker.RunNext(t.Context()))
	require.Empty(t, w.wrong())
}

func TestTheLastPassBeginsWhenNobodyCanBeLeftWhoDoesNotKnowOfTheMove(t *testing.T) {
	w := newWorld(t)
	unaware, aware := w.process(nil), w.process(nil)
	w.create(unaware, "t_a", "before") // knows the ledger from now on, for 5 s
	w.move(w.store, "t_a", "t_b", "m")
	w.asleep = func() {
		w.asleep = nil
		w.create(unaware, "t_a", "in-flight")
		require.Equal(t, []string{"thread__in-flight"}, w.wrong(), "the first pass is over")
	}
	require.NoError(t, w.worker(aware).RunNext(t.Context()))
	require.Empty(t, w.wrong())
	require.GreaterOrEqual(t, w.slept, 15*time.Second)
}

// A change bears the time of its request, and its commit may come a whole
// deadline later. Who certified its ledger in between does not know of it.
func TestTheLastPassWaitsFromTheCommitOfTheMoveAndNotFromItsTimestamp(t *testing.T) {
	w := newWorld(t)
	certify, held := func() {}, false
	var rewriter *rewrite.Worker
	unaware := w.process(func(step memory.Step) error {
		if held && step == memory.Commit {
			held = false
			require.NoError(t, rewriter.RunNext(t.Context()), "while the creation is on its way")
		}
		return nil
	})
	mover := w.process(func(step memory.Step) error {
		if step == memory.Commit {
			w.now = w.now.Add(4900 * time.Millisecond)
			certify()
			w.now = w.now.Add(100 * time.Millisecond)
		}
		return nil
	})
	certify = func() { w.create(unaware, "t_a", "before") }
	w.move(mover, "t_a", "t_b", "m")

	rewriter, held = w.worker(w.process(nil)), true
	w.create(unaware, "t_a", "in-flight")
	require.False(t, w.entry("m").Rewriting.Pending())
	require.Empty(t, w.wrong())
}

func TestWhereNobodyIsLeftWhoDoesNotKnowOfTheMoveOnePassIsEnough(t *testing.T) {
	w := newWorld(t)
	w.create(w.store, "t_a", ids(20)...)
	w.move(w.store, "t_a", "t_b", "m")
	w.now = w.now.Add(16 * time.Second) // there was no worker
	require.NoError(t, w.worker(w.process(nil)).RunNext(t.Context()))
	require.Empty(t, w.wrong())
	require.EqualValues(t, 20, w.entry("m").Rewriting.Read)
	require.Zero(t, w.slept)
}

func TestLargeTenantsAreReadOnce(t *testing.T) {
	w := newWorld(t)
	w.create(w.store, "t_a", ids(20)...)
	w.move(w.store, "t_a", "t_b", "m")
	slow := func(o *rewrite.Options) {
		var err error
		o.Rate, err = governor.Parse("1")
		require.NoError(t, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, w.worker(w.process(nil), slow).RunNext(ctx), context.DeadlineExceeded)
	job := w.entry("m").Rewriting
	require.True(t, job.Last, "20 documents at one a second take longer than to wait until all know")
	require.Equal(t, registry.RewritingQueued, job.State, "given back")
	require.Positive(t, job.Passed)
	require.NoError(t, w.worker(w.process(nil)).RunNext(t.Context()))
	require.LessOrEqual(t, w.entry("m").Rewriting.Read, int64(27), "in one pass, taken up where it was: but for a page that was read in vain")
	require.Empty(t, w.wrong())
}

// died is how a killed process ends: without giving anything back.
type died struct{}

func TestAnotherWorkerTakesUpWhatAKilledOneLeft(t *testing.T) {
	for kill := 1; ; kill++ { // at every step that there is
		w := newWorld(t)
		w.create(w.store, "t_a", ids(20)...)
		w.move(w.store, "t_a", "t_b", "m")
		steps := 0
		first := w.worker(w.process(func(memory.Step) error {
			if steps++; steps == kill {
				panic(died{})
			}
			return nil
		}))
		finished := func() (finished bool) {
			defer func() { _, killed := recover().(died); finished = !killed }()
			require.NoError(t, first.RunNext(t.Context()))
			return
		}()
		if finished {
			require.Greater(t, kill, 20)
			return
		}
		second := w.worker(w.process(nil))
		err := second.RunNext(t.Context())
		if errors.Is(err, registry.ErrNoJob) && w.entry("m").Rewriting.Pending() {
			w.now = w.now.Add(31 * time.Second) // the lease runs out
			err = second.RunNext(t.Context())
		}
		require.True(t, err == nil || !w.entry("m").Rewriting.Pending(), "kill %d: %v", kill, err)
		require.Empty(t, w.wrong(), "kill %d", kill)
	}
}

func TestAWorkerThatLostItsLeaseStops(t *testing.T) {
	w := newWorld(t)
	w.create(w.store, "t_a", ids(20)...)
	w.move(w.store, "t_a", "t_b", "m")
	w.asleep = func() {
		w.asleep = nil
		w.now = w.now.Add(time.Hour) // it was stopped
		_, err := w.store.ClaimJob(t.Context(), "another", time.Minute)
		require.NoError(t, err)
	}
	require.ErrorIs(t, w.worker(w.process(nil)).RunNext(t.Context()), registry.ErrLeaseLost)
	require.Equal(t, "another", w.entry("m").Rewriting.Holder)
	require.True(t, w.entry("m").Rewriting.Pending())
}

func TestRunGoesOnAfterFailuresAndEndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	w.create(w.store, "t_a", ids(20)...)
	w.move(w.store, "t_a", "t_b", "m1")
	w.move(w.store, "t_b", "t_c", "m2")
	random := rand.New(rand.NewPCG(1, 2))
	ctx, cancel := context.WithCancel(t.Context())
	worker := w.worker(w.process(func(memory.Step) error {
		if random.IntN(8) == 0 {
			return errors.New("down")
		}
		return nil
	}))
	polls := 0
	w.asleep = func() {
		if !w.entry("m2").Rewriting.Pending() {
			cancel()
		}
		polls++
		require.Less(t, polls, 1000)
	}
	worker.Run(ctx)
	require.Empty(t, w.wrong())
}

// silent is a store of which one method never answers, as after a connection
// has died in silence.
type silent struct {
	registry.Rewriter
	method string
}

func (s *silent) wait(ctx context.Context, method string) error {
	if method != s.method {
		return nil
	}
	<-ctx.Done()
	return fmt.Errorf("%s: %w: %w", method, registry.ErrUnavailable, ctx.Err())
}

func (s *silent) ClaimJob(ctx context.Context, holder string, lease time.Duration, except ...int64) (registry.Job, error) {
	if err := s.wait(ctx, "ClaimJob"); err != nil {
		return registry.Job{}, err
	}
	return s.Rewriter.ClaimJob(ctx, holder, lease, except...)
}

func (s *silent) SaveJob(ctx context.Context, job registry.Job) (registry.Job, error) {
	if err := s.wait(ctx, "SaveJob"); err != nil {
		return job, err
	}
	return s.Rewriter.SaveJob(ctx, job)
}

func (s *silent) Affected(ctx context.Context, page registry.Page) ([]registry.Record, error) {
	if err := s.wait(ctx, "Affected"); err != nil {
		return nil, err
	}
	return s.Rewriter.Affected(ctx, page)
}

func (s *silent) CountAffected(ctx context.Context, tenants []string) (int64, error) {
	if err := s.wait(ctx, "CountAffected"); err != nil {
		return 0, err
	}
	return s.Rewriter.CountAffected(ctx, tenants)
}

func (s *silent) Rewrite(ctx context.Context, records []registry.Record) (int, error) {
	if err := s.wait(ctx, "Rewrite"); err != nil {
		return 0, err
	}
	return s.Rewriter.Rewrite(ctx, records)
}

func TestACallThatIsNeverAnsweredDoesNotHoldUpTheWorkerForEver(t *testing.T) {
	for _, method := range []string{"ClaimJob", "SaveJob", "Affected", "Rewrite"} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.create(w.store, "t_a", ids(20)...)
				w.move(w.store, "t_a", "t_b", "m")
				s := &silent{w.process(nil), method}
				began := time.Now()
				require.ErrorIs(t, w.worker(s).RunNext(t.Context()), registry.ErrUnavailable)
				require.LessOrEqual(t, time.Since(began), 30*time.Second)
				s.method, w.now = "", w.now.Add(time.Minute) // the lease has run out
				require.NoError(t, w.worker(s).RunNext(t.Context()))
				require.Empty(t, w.wrong())
			})
		})
	}
}

func TestAWorkerThatIsToEndDoesSoWithinItsTimeThoughTheStoreIsSilent(t *testing.T) {
	for _, method := range []string{"ClaimJob", "CountAffected", "SaveJob", "Affected", "Rewrite"} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.create(w.store, "t_a", ids(20)...)
				w.move(w.store, "t_a", "t_b", "m")
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(5*time.Second, cancel)
				began := time.Now()
				w.worker(&silent{w.process(nil), method}, func(o *rewrite.Options) { o.Drain = 3 * time.Second }).Run(ctx)
				require.LessOrEqual(t, time.Since(began), 8*time.Second)
			})
		})
	}
}

// slow is a store whose commits take a second.
type slow struct {
	registry.Rewriter
	cut int // commits that their caller did not wait for
}

func (s *slow) commit(ctx context.Context) {
	time.Sleep(time.Second)
	if ctx.Err() != nil {
		s.cut++
	}
}

func (s *slow) Rewrite(ctx context.Context, records []registry.Record) (int, error) {
	s.commit(ctx)
	return s.Rewriter.Rewrite(ctx, records)
}

func (s *slow) SaveJob(ctx context.Context, job registry.Job) (registry.Job, error) {
	s.commit(ctx)
	return s.Rewriter.SaveJob(ctx, job)
}

func TestAWorkerThatEndsCutsNoCommitOffAndGivesItsJobBack(t *testing.T) {
	for end := range 30 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.create(w.store, "t_a", ids(20)...)
			w.move(w.store, "t_a", "t_b", "m")
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Duration(end)*500*time.Millisecond, cancel)
			s := &slow{Rewriter: w.process(nil)}
			_ = w.worker(s).RunNext(ctx)
			require.Zero(t, s.cut)
			require.NotEqual(t, registry.RewritingRunning, w.entry("m").Rewriting.State, "nobody waits for the lease")
		})
	}
}

func TestAJobIsDoneThoughItsDocumentsCannotBeCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create(w.store, "t_a", ids(20)...)
		w.move(w.store, "t_a", "t_b", "m")
		began := time.Now()
		require.NoError(t, w.worker(&silent{w.process(nil), "CountAffected"}).RunNext(t.Context()))
		require.LessOrEqual(t, time.Since(began), 10*time.Second, "a third of the lease")
		require.Empty(t, w.wrong())
		job := w.entry("m").Rewriting
		require.Zero(t, job.Total, "not known")
		require.EqualValues(t, 20, job.Read, "in one pass: a first one might take long")
	})
}

func TestOptionsAreValidated(t *testing.T) {
	err := rewrite.Options{Lease: -1, Page: -1, Drain: -1, Now: time.Now}.Validate()
	require.ErrorContains(t, err, "Lease")
	require.ErrorContains(t, err, "Page")
	require.ErrorContains(t, err, "Drain")
	require.ErrorContains(t, err, "Sleep")
}
