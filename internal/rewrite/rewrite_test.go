package rewrite_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
	"github.com/northstar-engines/realtime-registry/internal/storetest"
	"github.com/northstar-engines/realtime-registry/registry"
)

// world is a registry in memory, in a bubble with a clock of its own.
type world struct {
	*testing.T
	storetest.Outside
	store *regstore.Store
	began time.Time
}

// inBubble runs a test in a world.
func inBubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t)) })
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, Outside: storetest.Outside{DB: memdb.New(time.Now)}, began: time.Now()}
	w.store = w.process(nil)
	return w
}

// process is a further process: it folds with a ledger of up to 5 s ago. before
// may fail each of its calls.
func (w *world) process(before func(*docdbtest.Call) error) *regstore.Store {
	w.Helper()
	started := false
	s, err := regstore.Open(context.Background(), docdbtest.Around(w.DB, func(c *docdbtest.Call, do func() error) error {
		if started && before != nil {
			if err := before(c); err != nil {
				return err
			}
		}
		return do()
	}), regstore.Options{LedgerRate: 1e6})
	require.NoError(w, err)
	started = true
	return s
}

func (w *world) worker(store ownership.Rewriter, change ...func(*rewrite.Options)) *rewrite.Worker {
	w.Helper()
	o := rewrite.Options{Rate: governor.Unlimited, Page: 7}
	for _, c := range change {
		c(&o)
	}
	worker, err := rewrite.New(store, o)
	require.NoError(w, err)
	return worker
}

// soon does something as soon as everything else waits.
func soon(do func()) { time.AfterFunc(time.Microsecond, do) }

func (w *world) create(s ownership.Store, tenant string, ids ...string) {
	w.Helper()
	for _, id := range ids {
		w.apply(s, ownership.Change{
			Resource: registry.Resource{Kind: registry.Thread, ID: id},
			Entry:    ownership.Entry{Type: ownership.Created, Tenant: tenant, Version: ownership.Version{Time: time.Unix(1, 0), Source: "//nexus", ID: id}},
		})
	}
}

func (w *world) move(s ownership.Store, from, to, id string) {
	w.Helper()
	w.apply(s, ownership.Change{Entry: ownership.Entry{Type: ownership.Moved, From: from, To: to,
		Version: ownership.Version{Time: time.Unix(100, 0), Source: "//nexus", ID: id}}})
}

func (w *world) apply(s ownership.Store, c ownership.Change) {
	w.Helper()
	o := s.Apply(context.Background(), []ownership.Change{c})[0]
	require.NoError(w, o.Err)
}

// wrong lists documents that are not what the fold says.
func (w *world) wrong() (names []string) {
	require.NoError(w, w.store.Export(context.Background(), func(r ownership.Record, l *ownership.Ledger) error {
		if r.Update(nil, l).Write {
			names = append(names, r.Document)
		}
		return nil
	}))
	return names
}

func (w *world) entry(id string) ownership.LedgerEntry {
	moves, err := w.store.Moves(context.Background())
	require.NoError(w, err)
	for _, m := range moves {
		if m.ID == id {
			return m
		}
	}
	w.Fatalf("no move %s", id)
	return ownership.LedgerEntry{}
}

func ids(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint("th-", i))
	}
	return all
}

func TestDocumentsFollowAMoveAndItsRetraction(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create(w.store, "t_a", ids(20)...)
		w.create(w.store, "t_x", "other")
		w.move(w.store, "t_a", "t_b", "m")
		require.Len(t, w.wrong(), 20)
		worker := w.worker(w.process(nil))
		require.NoError(t, worker.RunPending(t.Context()))
		require.Empty(t, w.wrong())
		job := w.entry("m").Rewriting
		require.Equal(t, ownership.RewritingDone, job.State)
		require.EqualValues(t, 20, job.Total)
		require.EqualValues(t, 20, job.Written, "what is affected, once")
		require.EqualValues(t, 40, job.Read, "in a first and a last pass")
		require.ErrorIs(t, worker.RunPending(t.Context()), ownership.ErrNoJob)

		require.NoError(t, w.store.Apply(t.Context(), []ownership.Change{ownership.Retraction(ownership.Version{Source: "//nexus", ID: "m"}, "", "")})[0].Err)
		require.Len(t, w.wrong(), 20)
		require.NoError(t, worker.RunPending(t.Context()))
		require.Empty(t, w.wrong())
	})
}

func TestTheLastPassBeginsWhenNobodyCanBeLeftWhoDoesNotKnowOfTheMove(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		unaware, aware := w.process(nil), w.process(nil)
		w.create(unaware, "t_a", "before") // knows the ledger from now on, for 5 s
		w.move(w.store, "t_a", "t_b", "m")
		soon(func() {
			w.create(unaware, "t_a", "in-flight")
			assert.Equal(t, []string{"thread__in-flight"}, w.wrong(), "the first pass is over")
		})
		require.NoError(t, w.worker(aware).RunPending(t.Context()))
		require.Empty(t, w.wrong())
		require.GreaterOrEqual(t, time.Since(w.began), 15*time.Second)
	})
}

// A change bears the time of its request, and its commit may come a whole
// deadline later. Who certified its ledger in between does not know of it.
func TestTheLastPassWaitsFromTheCommitOfTheMoveAndNotFromItsTimestamp(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		certify, held := func() {}, false
		var rewriter *rewrite.Worker
		unaware := w.process(func(c *docdbtest.Call) error {
			if held && c.Method == "BatchWrite" {
				held = false
				require.NoError(t, rewriter.RunPending(t.Context()), "while the creation is on its way")
			}
			return nil
		})
		mover := w.process(func(c *docdbtest.Call) error {
			if c.Method == "Commit" {
				time.Sleep(4900 * time.Millisecond)
				certify()
				time.Sleep(100 * time.Millisecond)
			}
			return nil
		})
		certify = func() { w.create(unaware, "t_a", "before") }
		w.move(mover, "t_a", "t_b", "m")

		rewriter, held = w.worker(w.process(nil)), true
		w.create(unaware, "t_a", "in-flight")
		require.False(t, w.entry("m").Rewriting.Pending())
		require.Empty(t, w.wrong())
	})
}

func TestWhereNobodyIsLeftWhoDoesNotKnowOfTheMoveOnePassIsEnough(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create(w.store, "t_a", ids(20)...)
		w.move(w.store, "t_a", "t_b", "m")
		time.Sleep(16 * time.Second) // there was no worker
		require.NoError(t, w.worker(w.process(nil)).RunPending(t.Context()))
		require.Empty(t, w.wrong())
		require.EqualValues(t, 20, w.entry("m").Rewriting.Read)
		require.Equal(t, 16*time.Second, time.Since(w.began))
	})
}

func TestLargeTenantsAreReadOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create(w.store, "t_a", ids(20)...)
		w.move(w.store, "t_a", "t_b", "m")
		slow := func(o *rewrite.Options) {
			var err error
			o.Rate, err = governor.Parse("1")
			require.NoError(t, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 16500*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, w.worker(w.process(nil), slow).RunPending(ctx), context.DeadlineExceeded)
		job := w.entry("m").Rewriting
		require.True(t, job.Last, "20 documents at one a second take longer than to wait until all know")
		require.Equal(t, ownership.RewritingQueued, job.State, "given back")
		require.Positive(t, job.Passed)
		require.NoError(t, w.worker(w.process(nil)).RunPending(t.Context()))
		require.LessOrEqual(t, w.entry("m").Rewriting.Read, int64(27), "in one pass, taken up where it was: except for a page that was read in vain")
		require.Empty(t, w.wrong())
	})
}

// A killed process gives nothing back: none of its calls is made any more, and none
// is answered.
func TestAnotherWorkerTakesUpWhatAKilledOneLeft(t *testing.T) {
	for kill, finished := 1, false; !finished; kill++ { // at every call that there is
		inBubble(t, func(t *testing.T, w *world) {
			w.create(w.store, "t_a", ids(20)...)
			w.move(w.store, "t_a", "t_b", "m")
			var calls atomic.Int64
			end := make(chan struct{})
			first := w.worker(w.process(func(*docdbtest.Call) error {
				if calls.Add(1) < int64(kill) {
					return nil
				}
				<-end
				return errors.New("killed")
			}))
			go func() { finished = first.RunPending(context.Background()) == nil }()
			defer close(end)
			time.Sleep(20 * time.Second)
			synctest.Wait()
			if finished {
				require.Greater(t, kill, 10)
				return
			}
			second := w.worker(w.process(nil))
			err := second.RunPending(t.Context())
			if errors.Is(err, ownership.ErrNoJob) && w.entry("m").Rewriting.Pending() {
				time.Sleep(31 * time.Second) // the lease runs out
				err = second.RunPending(t.Context())
			}
			require.True(t, err == nil || !w.entry("m").Rewriting.Pending(), "kill %d: %v", kill, err)
			require.Empty(t, w.wrong(), "kill %d", kill)
		})
	}
}

func TestAWorkerThatLostItsLeaseStops(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create(w.store, "t_a", ids(20)...)
		w.move(w.store, "t_a", "t_b", "m")
		var stopped, late atomic.Bool
		first := w.process(func(c *docdbtest.Call) error {
			for stopped.Load() {
				late.Store(true)
				time.Sleep(time.Minute)
			}
			if late.Load() { // its requests were on their way
				c.Context = context.WithoutCancel(c.Context)
			}
			return nil
		})
		soon(func() {
			stopped.Store(true)
			time.Sleep(time.Hour)
			_, err := storetest.LeaseJob(t.Context(), w.store, "another", time.Minute)
			assert.NoError(t, err)
			stopped.Store(false)
		})
		require.ErrorIs(t, w.worker(first).RunPending(t.Context()), ownership.ErrLeaseLost)
		require.Equal(t, "another", w.entry("m").Rewriting.Holder)
		require.True(t, w.entry("m").Rewriting.Pending())
	})
}

func TestRunGoesOnAfterFailuresAndEndsWithItsContext(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create(w.store, "t_a", ids(20)...)
		w.move(w.store, "t_a", "t_b", "m1")
		w.move(w.store, "t_b", "t_c", "m2")
		random := rand.New(rand.NewPCG(1, 2))
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		worker := w.worker(w.process(func(*docdbtest.Call) error {
			mu.Lock()
			defer mu.Unlock()
			if random.IntN(8) == 0 {
				return errors.New("down")
			}
			return nil
		}))
		go func() {
			for w.entry("m1").Rewriting.Pending() || w.entry("m2").Rewriting.Pending() {
				time.Sleep(time.Second)
			}
			cancel()
		}()
		worker.Run(ctx)
		require.Empty(t, w.wrong())
	})
}

// silent is a store of which one method never answers, as after a connection
// has died in silence.
type silent struct {
	ownership.Rewriter
	method string
}

func (s *silent) wait(ctx context.Context, method string) error {
	if method != s.method {
		return nil
	}
	<-ctx.Done()
	return fmt.Errorf("%s: %w: %w", method, registry.ErrUnavailable, ctx.Err())
}

func (s *silent) Jobs(ctx context.Context, after int64, limit int, except func(int64) bool) ([]ownership.Job, error) {
	if err := s.wait(ctx, "Jobs"); err != nil {
		return nil, err
	}
	return s.Rewriter.Jobs(ctx, after, limit, except)
}

func (s *silent) TakeLease(ctx context.Context, lease ownership.Lease) (ownership.Lease, error) {
	if err := s.wait(ctx, "TakeLease"); err != nil {
		return lease, err
	}
	return s.Rewriter.TakeLease(ctx, lease)
}

func (s *silent) SaveJob(ctx context.Context, job ownership.Job) (ownership.Job, error) {
	if err := s.wait(ctx, "SaveJob"); err != nil {
		return job, err
	}
	return s.Rewriter.SaveJob(ctx, job)
}

func (s *silent) Affected(ctx context.Context, page ownership.Page) ([]ownership.Record, bool, error) {
	if err := s.wait(ctx, "Affected"); err != nil {
		return nil, false, err
	}
	return s.Rewriter.Affected(ctx, page)
}

func (s *silent) CountAffected(ctx context.Context, tenants []string) (int64, error) {
	if err := s.wait(ctx, "CountAffected"); err != nil {
		return 0, err
	}
	return s.Rewriter.CountAffected(ctx, tenants)
}

func (s *silent) Rewrite(ctx context.Context, records []ownership.Record) (int, error) {
	if err := s.wait(ctx, "Rewrite"); err != nil {
		return 0, err
	}
	return s.Rewriter.Rewrite(ctx, records)
}

func TestACallThatIsNeverAnsweredDoesNotHoldUpTheWorkerForEver(t *testing.T) {
	for _, method := range []string{"Jobs", "TakeLease", "SaveJob", "Affected", "Rewrite"} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.create(w.store, "t_a", ids(20)...)
				w.move(w.store, "t_a", "t_b", "m")
				s := &silent{w.process(nil), method}
				began := time.Now()
				require.ErrorIs(t, w.worker(s).RunPending(t.Context()), registry.ErrUnavailable)
				require.LessOrEqual(t, time.Since(began), 30*time.Second)
				s.method = ""
				time.Sleep(time.Minute) // the lease has run out
				require.NoError(t, w.worker(s).RunPending(t.Context()))
				require.Empty(t, w.wrong())
			})
		})
	}
}

// unrenewable is a store that answers the first request for the lease alone.
type unrenewable struct {
	ownership.Rewriter
	taken atomic.Bool
}

func (u *unrenewable) TakeLease(ctx context.Context, lease ownership.Lease) (ownership.Lease, error) {
	if u.taken.Swap(true) {
		<-ctx.Done()
		return lease, ctx.Err()
	}
	return u.Rewriter.TakeLease(ctx, lease)
}

func TestAWorkerStopsBeforeALeaseEndsThatItCannotRenew(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create(w.store, "t_a", ids(200)...)
		w.move(w.store, "t_a", "t_b", "m")
		time.Sleep(time.Minute) // the last pass need not wait
		began := time.Now()
		require.ErrorIs(t, w.worker(&unrenewable{Rewriter: w.process(nil)}, rate(t, "1")).RunPending(t.Context()), ownership.ErrLeaseLost)
		require.LessOrEqual(t, time.Since(began), 30*time.Second)
	})
}

func TestAWorkerThatIsToEndDoesSoWithinItsTimeThoughTheStoreIsSilent(t *testing.T) {
	for _, method := range []string{"Jobs", "TakeLease", "CountAffected", "SaveJob", "Affected", "Rewrite"} {
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
	ownership.Rewriter
	cut int // commits that their caller did not wait for
}

func (s *slow) commit(ctx context.Context) {
	time.Sleep(time.Second)
	if ctx.Err() != nil {
		s.cut++
	}
}

func (s *slow) Rewrite(ctx context.Context, records []ownership.Record) (int, error) {
	s.commit(ctx)
	return s.Rewriter.Rewrite(ctx, records)
}

func (s *slow) SaveJob(ctx context.Context, job ownership.Job) (ownership.Job, error) {
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
			_ = w.worker(s).RunPending(ctx)
			require.Zero(t, s.cut)
			require.NotEqual(t, ownership.RewritingRunning, w.entry("m").Rewriting.State, "nobody waits for the lease")
		})
	}
}

func TestAJobIsDoneThoughItsDocumentsCannotBeCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create(w.store, "t_a", ids(20)...)
		w.move(w.store, "t_a", "t_b", "m")
		began := time.Now()
		require.NoError(t, w.worker(&silent{w.process(nil), "CountAffected"}).RunPending(t.Context()))
		require.LessOrEqual(t, time.Since(began), 16*time.Second, "a third of the lease, while all wait for 15 s anyway")
		require.Empty(t, w.wrong())
		job := w.entry("m").Rewriting
		require.Zero(t, job.Total, "not known")
		require.EqualValues(t, 20, job.Read, "in one pass: a first one might take long")
	})
}

func TestOptionsAreValidated(t *testing.T) {
	err := rewrite.Options{Lease: -1, Page: -1, AtOnce: -1, Drain: -1}.Validate()
	require.ErrorContains(t, err, "Lease")
	require.ErrorContains(t, err, "Page")
	require.ErrorContains(t, err, "AtOnce")
	require.ErrorContains(t, err, "Drain")
}
