package rewrite_test

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
)

func named(prefix string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%s-%04d", prefix, i))
	}
	return all
}

func rate(t *testing.T, text string) func(*rewrite.Options) {
	r, err := governor.Parse(text)
	require.NoError(t, err)
	return func(o *rewrite.Options) { o.Rate, o.Page = r, 1000 }
}

// background has a worker do jobs until the test ends.
func (w *world) background(worker *rewrite.Worker) (end func()) {
	ctx, cancel := context.WithCancel(w.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); worker.Run(ctx) }()
	return func() { cancel(); <-ended }
}

func TestASmallTenantDoesNotWaitForLargeOnes(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		const large = 40
		for i := range large { // more than are worked on at once
			w.create(w.store, fmt.Sprint("t_l", i), named(fmt.Sprint("l", i), 150)...)
			w.move(w.store, fmt.Sprint("t_l", i), "t_x", fmt.Sprint("large-", i))
		}
		w.create(w.store, "t_small", named("small", 5)...)
		time.Sleep(time.Minute) // nobody is left who does not know of the moves
		end := w.background(w.worker(w.process(nil), rate(t, "50")))
		defer end()
		time.Sleep(20 * time.Second)
		w.move(w.store, "t_small", "t_y", "small")
		time.Sleep(20 * time.Second)
		require.Equal(t, ownership.RewritingDone, w.entry("small").Rewriting.State, "15 s, and no more than a page of each slot")
		require.Len(t, w.pending(), large, "the others have minutes to go")
		time.Sleep(2 * time.Minute)
		require.Empty(t, w.pending(), "together they take as long as the rate says")
		require.Empty(t, w.wrong())
	})
}

// pending are the moves whose jobs have not ended.
func (w *world) pending() (all []string) {
	moves, err := w.store.Moves(w.Context())
	require.NoError(w, err)
	for _, m := range moves {
		if m.Rewriting.Pending() {
			all = append(all, m.ID)
		}
	}
	return all
}

func TestALargeTenantIsDoneThoughSmallOnesNeverCeaseToCome(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create(w.store, "t_large", named("large", 600)...)
		w.move(w.store, "t_large", "t_x", "large")
		time.Sleep(time.Minute)
		end := w.background(w.worker(w.process(nil), rate(t, "50")))
		defer end()
		for i := 0; w.entry("large").Rewriting.Pending(); i++ {
			require.Less(t, i, 300, "it starves")
			tenant := fmt.Sprint("t_s", i) // as many as the rate allows
			w.create(w.store, tenant, named(tenant, 50)...)
			w.move(w.store, tenant, "t_y", tenant)
			time.Sleep(time.Second)
		}
	})
}

// overlapping counts how many calls of a method are under way at once, at most.
func overlapping(method string) (before func(*docdbtest.Call) error, most func() int) {
	var mu sync.Mutex
	now, max := 0, 0
	return func(c *docdbtest.Call) error {
			if c.Method != method || len(c.Writes) == 0 {
				return nil
			}
			mu.Lock()
			if now++; now > max {
				max = now
			}
			mu.Unlock()
			time.Sleep(50 * time.Millisecond)
			mu.Lock()
			now--
			mu.Unlock()
			return nil
		}, func() int {
			mu.Lock()
			defer mu.Unlock()
			return max
		}
}

func TestTheNamesOfALargeTenantAreWorkedOnInManyPlacesAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		const documents = 2000
		w.create(w.store, "t_a", named("a", documents)...)
		w.move(w.store, "t_a", "t_b", "m")
		time.Sleep(time.Minute)
		before, most := overlapping("BatchWrite")
		began := time.Now()
		require.NoError(t, w.worker(w.process(before), func(o *rewrite.Options) { o.Page, o.AtOnce = 20, 8 }).RunPending(t.Context()))
		require.Empty(t, w.wrong())
		require.Equal(t, 8, most())
		require.Less(t, time.Since(began), documents/20*50*time.Millisecond/4, "one place after the other takes 5 s")
		job := w.entry("m").Rewriting
		require.LessOrEqual(t, job.Read, int64(documents+documents/5), "and little is read twice")
		require.EqualValues(t, documents, job.Written)
	})
}

func TestOneTurnIsTakenAfterTheOtherWhileSomethingMoreUrgentNeedsTheStore(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		for i := range 40 {
			tenant := fmt.Sprint("t_", i)
			w.create(w.store, tenant, named(tenant, 40)...)
			w.move(w.store, tenant, "t_x", tenant)
		}
		time.Sleep(time.Minute)
		var urgent atomic.Bool
		urgent.Store(true)
		before, most := overlapping("BatchWrite")
		defer w.background(w.worker(w.process(before), func(o *rewrite.Options) {
			o.Page, o.AtOnce, o.GiveWay = 20, 8, urgent.Load
		}))()
		time.Sleep(2 * time.Second)
		require.Equal(t, 1, most())
		require.InDelta(t, 40*40-2000/50*20, len(w.wrong()), 40, "it goes on, from page to page")
		urgent.Store(false)
		time.Sleep(2 * time.Second)
		require.Equal(t, 8, most(), "and has all slots afterwards")
		require.Empty(t, w.wrong())
	})
}

// Wherever it is interrupted: what is done in any of the places is not done again.
func TestATenantIsDoneThoughAPageTakesLongerThanACallMayTake(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create(w.store, "t_a", ids(100)...)
		w.move(w.store, "t_a", "t_b", "m")
		slow := w.process(func(c *docdbtest.Call) error {
			visit := c.Visit
			c.Visit = func(d *docdb.Document) error {
				time.Sleep(time.Second)
				return cmp.Or(c.Context.Err(), visit(d))
			}
			return nil
		})
		require.NoError(t, w.worker(slow, func(o *rewrite.Options) { o.Page = 1000 }).RunPending(t.Context()))
		require.Empty(t, w.wrong())
	})
}

func TestWhatIsLeftInManyPlacesIsTakenUpWhereItWas(t *testing.T) {
	for _, after := range []time.Duration{2100 * time.Millisecond, 4500 * time.Millisecond, 7 * time.Second} {
		inBubble(t, func(t *testing.T, w *world) {
			const documents = 1000
			w.create(w.store, "t_a", named("a", documents)...)
			w.move(w.store, "t_a", "t_b", "m")
			time.Sleep(time.Minute)
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			small := func(o *rewrite.Options) { o.Page, o.AtOnce = 20, 8 }
			slow := rate(t, "100")
			require.ErrorIs(t, w.worker(w.process(nil), slow, small).RunPending(ctx), context.DeadlineExceeded)
			left := len(w.wrong())
			job := w.entry("m").Rewriting
			require.Greater(t, len(job.Left()), 1)
			require.InDelta(t, documents-left, job.Passed, 20)
			var seen int64
			count := func(c *docdbtest.Call) error {
				if c.Method == "BatchWrite" {
					assert.Less(t, len(c.Writes), documents)
				}
				return nil
			}
			require.NoError(t, w.worker(w.process(count), small).RunPending(t.Context()))
			require.Empty(t, w.wrong())
			seen = w.entry("m").Rewriting.Read - job.Read
			require.InDelta(t, left, seen, 250, "except for the pages that were under way")
		})
	}
}

// A killed process stores nothing more; what it had stored two seconds before counts.
func TestAKillInManyPlacesLosesNoDocument(t *testing.T) {
	for _, after := range []time.Duration{4 * time.Second, 7 * time.Second} {
		inBubble(t, func(t *testing.T, w *world) {
			w.create(w.store, "t_a", named("a", 1000)...)
			w.move(w.store, "t_a", "t_b", "m")
			time.Sleep(time.Minute)
			end := make(chan struct{})
			defer close(end)
			killed := time.Now().Add(after)
			first := w.worker(w.process(func(*docdbtest.Call) error {
				if time.Now().After(killed) {
					<-end
					return context.Canceled
				}
				return nil
			}), rate(t, "100"), func(o *rewrite.Options) { o.Page, o.AtOnce = 20, 8 })
			go func() { _ = first.RunPending(context.Background()) }()
			time.Sleep(time.Minute) // the lease has run out
			require.NotEmpty(t, w.wrong())
			require.Positive(t, w.entry("m").Rewriting.Passed)
			require.NoError(t, w.worker(w.process(nil)).RunPending(t.Context()))
			require.Empty(t, w.wrong())
		})
	}
}

func TestTheRampIsNotBegunAnewForEachJobNorForEachWorker(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		ramp := func(o *rewrite.Options) { o.Rate, o.Page = governor.Ramp, 1000 }
		pace := func() ownership.Pace {
			lease, err := w.store.Lease(t.Context())
			require.NoError(t, err)
			return lease.Pace
		}
		small := func(n int) {
			tenant := fmt.Sprint("t_s", n)
			w.create(w.store, tenant, tenant)
			w.move(w.store, tenant, "t_y", tenant)
		}
		small(0)
		require.NoError(t, w.worker(w.process(nil), ramp).RunPending(t.Context()))
		require.EqualValues(t, 500, pace().PerSecond)

		// What a worker had that was at 1,125 a second, two minutes into its period.
		_, err := w.store.TakeLease(t.Context(), ownership.Lease{Holder: "another", For: time.Second,
			Pace: ownership.Pace{PerSecond: 1125, Done: 135_000, Elapsed: 2 * time.Minute, Had: 1100, HadAt: time.Now()}})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		small(1)
		require.NoError(t, w.worker(w.process(nil), ramp).RunPending(t.Context()))
		at := pace()
		require.EqualValues(t, 1125, at.PerSecond)
		require.GreaterOrEqual(t, at.Elapsed, 3*time.Minute)
		require.EqualValues(t, 1100, at.Had, "nothing else was measured since")
		time.Sleep(time.Hour)
		small(2)
		require.NoError(t, w.worker(w.process(nil), ramp).RunPending(t.Context()))
		require.EqualValues(t, 500, pace().PerSecond, "traffic that ceased begins at the foot")
	})
}

func TestTheRateThatAWorkerHasIsStoredWhereOthersSeeIt(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create(w.store, "t_a", named("a", 3000)...)
		w.move(w.store, "t_a", "t_b", "m")
		time.Sleep(time.Minute)
		before, _ := overlapping("BatchWrite") // 50 ms for each of 4 × 4 documents
		require.NoError(t, w.worker(w.process(before), func(o *rewrite.Options) { o.Page, o.AtOnce = 4, 4 }).RunPending(t.Context()))
		lease, err := w.store.Lease(t.Context())
		require.NoError(t, err)
		require.Empty(t, lease.Holder)
		require.InDelta(t, 4*4/0.05, lease.Pace.Had, 80)
		require.False(t, lease.Pace.HadAt.Before(w.began))
	})
}

func TestOneWorkerOfManyDoesTheJobsAndTheOthersAskSeldom(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		const workers = 24
		var mu sync.Mutex
		calls := map[string]int{}
		count := func(c *docdbtest.Call) error {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case c.Method == "Commit":
				calls["commits"]++
			case c.Method == "Query" && c.Query.OrderBy == "pending":
				calls["looks"]++
			}
			return nil
		}
		for range workers {
			defer w.background(w.worker(w.process(count), rate(t, "50")))()
		}
		time.Sleep(time.Minute)
		mu.Lock()
		require.InDelta(t, workers*30, calls["looks"], workers, "idle, each looks every 2 s: one read")
		require.Zero(t, calls["commits"])
		clear(calls)
		mu.Unlock()
		w.create(w.store, "t_a", named("a", 3000)...)
		w.move(w.store, "t_a", "t_b", "m")
		time.Sleep(time.Minute)
		mu.Lock()
		require.Less(t, calls["looks"], workers*10+40, "while one is at work the others look every 10 s")
		require.Less(t, calls["commits"], 60/2+60/10+workers, "progress and lease, and a race for it at the beginning")
		mu.Unlock()
		time.Sleep(time.Minute)
		require.Empty(t, w.pending())
		require.Empty(t, w.wrong())
	})
}
