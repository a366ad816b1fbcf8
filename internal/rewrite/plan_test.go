package rewrite_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
	"github.com/northstar-engines/realtime-registry/internal/storetest"
	"github.com/northstar-engines/realtime-registry/registry"
)

func (w *world) planner() rewrite.Planner {
	return rewrite.Planner{Store: w.process(nil), Rate: governor.Ramp}
}

func TestTheRetractionOfAMoveCountsThePlainSetsThatItCannotGiveBack(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create(w.store, "t_a", "untouched", "taken", "kept", "merged", "returned")
		w.create(w.store, "t_b", "own", "own-set")
		w.SetPlain("thread__early", "t_a", false)
		move := ownership.Change{Entry: ownership.Entry{Type: ownership.Moved, From: "t_a", To: "t_b",
			Version: ownership.Version{Time: time.Now().Add(time.Second), Source: "//nexus", ID: "m"}}}
		w.apply(w.store, move)
		require.NoError(t, w.worker(w.process(nil)).RunPending(t.Context()))
		time.Sleep(time.Minute)
		w.SetPlain("thread__taken", "t_b", false)
		w.SetPlain("thread__merged", "t_b", true)
		w.SetPlain("thread__own-set", "t_b", false)
		w.SetPlain("thread__kept", "t_a", false)
		w.SetPlain("thread__returned", "t_a", true)

		plan, err := w.planner().Retraction(t.Context(), w.entry("m"))
		require.NoError(t, err)
		require.EqualValues(t, 3, plan.Owners[registry.Thread], "untouched, early, and merged, whose plain set changed nothing")
		require.EqualValues(t, 1, plan.Plain, "early")
		require.EqualValues(t, 2, plan.Kept, "taken, and own-set, which looks alike")
		require.EqualValues(t, 5, plan.Reads/2, "what the job reads: not what only the new owner has")
		require.EqualValues(t, 5, plan.Writes, "the plain sets of t_a are taken into the histories")
	})
}

// Left is reckoned from what a job stores, as `moves list` and `moves plan` have it.
func TestPendingJobsSayHowLongTheyTakeWithTheWaitAndThePassesToCome(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create(w.store, "t_a", ids(20)...)
		w.create(w.store, "t_x", "other")
		rate, err := governor.Parse("2")
		require.NoError(t, err)
		p := w.planner()
		p.Rate = rate
		left := func() (seconds []float64) {
			moves, err := w.store.Moves(t.Context())
			require.NoError(t, err)
			pending, err := p.Pending(t.Context(), moves)
			require.NoError(t, err)
			for _, job := range pending {
				seconds = append(seconds, job.Left.Round(time.Second/2).Seconds())
			}
			return seconds
		}
		require.Empty(t, left())
		w.move(w.store, "t_a", "t_b", "m")
		require.Equal(t, []float64{15 + 10}, left(), "queued: the wait and a pass")
		w.move(w.store, "t_x", "t_y", "n")
		require.Equal(t, []float64{25, 15.5}, left(), "a small one does not wait for it")

		plan, err := p.Move(t.Context(), "t_x", "t_z")
		require.NoError(t, err)
		require.Len(t, plan.Pending, 2)
		require.Equal(t, 15500*time.Millisecond, plan.Lag.Round(time.Second/2), "nor does what is planned")

		job, err := storetest.LeaseJob(t.Context(), w.store, "w", time.Hour)
		require.NoError(t, err)
		job.Entry.Rewriting.Total, job.Entry.Rewriting.Passed = 20, 20
		job, err = w.store.SaveJob(t.Context(), job)
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		require.Equal(t, []float64{20, 10.5}, left(), "after a first pass, there are still the wait and the last pass")
		job.Entry.Rewriting.Last, job.Entry.Rewriting.Passed = true, 16
		_, err = w.store.SaveJob(t.Context(), job)
		require.NoError(t, err)
		require.Equal(t, []float64{2, 10.5}, left(), "in the last pass, what is left of it")
	})
}

func TestWhatIsPromisedIsReckonedFromWhatTheWorkerHad(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create(w.store, "t_a", ids(20)...)
		w.move(w.store, "t_a", "t_b", "m")
		job, err := storetest.LeaseJob(t.Context(), w.store, "w", time.Hour)
		require.NoError(t, err)
		r := &job.Entry.Rewriting
		r.Last, r.Total, r.Passed = true, 10_000_000, 9_000_000
		left := func(pace ownership.Pace) time.Duration {
			_, err := w.store.TakeLease(t.Context(), ownership.Lease{Holder: "w", For: time.Hour, Pace: pace})
			require.NoError(t, err)
			pending, err := w.planner().Pending(t.Context(), []ownership.LedgerEntry{job.Entry})
			require.NoError(t, err)
			return pending[0].Left.Round(time.Second)
		}
		require.Equal(t, governor.Ramp.Duration(1_000_000).Round(time.Second), left(ownership.Pace{}), "nothing was measured: the ramp")
		require.Equal(t, 100*time.Second, left(ownership.Pace{PerSecond: 10_000}), "from where the worker is on it")
		had := ownership.Pace{PerSecond: 10_000, Had: 2000, HadAt: time.Now()}
		require.Equal(t, 500*time.Second, left(had), "and no faster than it was seen to be")
		had.Governed = true
		require.Equal(t, 100*time.Second, left(had), "unless it was held back")
		require.NoError(t, storetest.ReleaseLease(t.Context(), w.store, "w"))

		_, err = w.store.TakeLease(t.Context(), ownership.Lease{Holder: "w", For: time.Hour, Pace: ownership.Pace{Had: 2, HadAt: time.Now()}})
		require.NoError(t, err)
		plan, err := w.planner().Move(t.Context(), "t_a", "t_c")
		require.NoError(t, err)
		require.EqualValues(t, 2, plan.Speed.Had)
		require.Equal(t, 25*time.Second, plan.Lag.Round(time.Second), "20 documents at 2 a second, after 15 s")
	})
}

// The last pass of one among many waits for as many documents of the others as it has.
func TestJobsShareTheWorker(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		sizes := map[string]int{"t_s": 10, "t_m": 30, "t_l": 100}
		for _, tenant := range []string{"t_l", "t_m", "t_s"} {
			w.create(w.store, tenant, named(tenant, sizes[tenant])...)
			w.move(w.store, tenant, "t_x", tenant)
		}
		time.Sleep(time.Minute)
		p := w.planner()
		var err error
		p.Rate, err = governor.Parse("10")
		require.NoError(t, err)
		moves, err := w.store.Moves(t.Context())
		require.NoError(t, err)
		pending, err := p.Pending(t.Context(), moves)
		require.NoError(t, err)
		left := map[string]time.Duration{}
		for _, job := range pending {
			left[job.Move.ID] = job.Left
		}
		require.Equal(t, map[string]time.Duration{"t_s": 3 * time.Second, "t_m": 7 * time.Second, "t_l": 14 * time.Second}, left)
	})
}
