package rewrite_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
	"github.com/northstar-engines/realtime-registry/internal/storetest"
	"github.com/northstar-engines/realtime-registry/registry"
)

// refusing refuses what is asked about one tenant, as Firestore refuses a query that
// it cannot run, until it is mended.
type refusing struct {
	ownership.Rewriter
	tenant string
	tries  int
	mended bool
}

func (r *refusing) Affected(ctx context.Context, page ownership.Page) ([]ownership.Record, bool, error) {
	if page.Tenants[0] == r.tenant && !r.mended {
		r.tries++
		return nil, false, fmt.Errorf("%w: InvalidArgument", registry.ErrUnavailable)
	}
	return r.Rewriter.Affected(ctx, page)
}

func TestAJobThatCannotBeDoneIsParkedAndTheOthersGoOn(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create(w.store, "t_p", ids(3)...)
		w.move(w.store, "t_p", "t_q", "bad")
		reader := sdkmetric.NewManualReader()
		store := &refusing{Rewriter: w.process(nil), tenant: "t_p"}
		worker := w.worker(store, func(o *rewrite.Options) {
			o.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); worker.Run(ctx) }()
		for hour := range 3 {
			other := fmt.Sprint("other-", hour)
			w.create(w.store, "t_x", other)
			w.move(w.store, "t_x", "t_y", other)
			time.Sleep(time.Minute)
			require.Equal(t, ownership.RewritingDone, w.entry(other).Rewriting.State, "it waits for no other")
			time.Sleep(time.Hour)
		}
		job := w.entry("bad").Rewriting
		require.True(t, job.Parked())
		require.Contains(t, job.Failure, "InvalidArgument")
		require.EqualValues(t, ownership.MostTries, job.Tries)
		require.Equal(t, ownership.MostTries+1, store.tries, "one of them came as far as the last pass")
		require.InDelta(t, 45*time.Minute, job.ParkedAt.Sub(job.StartedAt), float64(5*time.Minute))
		metrics := collect(t, reader)
		require.EqualValues(t, 1, metrics["registry.rewriting.jobs parked"], "%v", metrics)
		require.EqualValues(t, ownership.MostTries, metrics["registry.rewriting.jobs error"])

		store.mended = true
		time.Sleep(time.Hour)
		require.True(t, w.entry("bad").Rewriting.Parked(), "until somebody says so")
		event := w.entry("bad").EventName()
		require.NoError(t, w.store.ResumeJob(t.Context(), event))
		time.Sleep(time.Minute)
		require.Empty(t, w.wrong())
		done := w.entry("bad").Rewriting
		require.Equal(t, ownership.RewritingDone, done.State)
		require.Zero(t, done.Tries)
		require.ErrorIs(t, w.store.ResumeJob(t.Context(), event), ownership.ErrNotParked)
		cancel()
		<-ended
	})
}

// A change of the entry makes the job another one; what was parked is part of it.
func TestTheRetractionOfAMoveTakesItsParkedJobUp(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create(w.store, "t_p", ids(3)...)
		w.move(w.store, "t_p", "t_q", "bad")
		job, err := storetest.LeaseJob(t.Context(), w.store, "w", time.Minute)
		require.NoError(t, err)
		for range ownership.MostTries {
			job.Entry.Rewriting = job.Entry.Rewriting.FailedAt(job.Now, errors.New("no").Error(), false)
		}
		_, err = w.store.SaveJob(t.Context(), job)
		require.NoError(t, err)
		require.NoError(t, storetest.ReleaseLease(t.Context(), w.store, "w"))
		require.True(t, w.entry("bad").Rewriting.Parked())
		worker := w.worker(w.process(nil))
		require.ErrorIs(t, worker.RunPending(t.Context()), ownership.ErrNoJob)
		w.apply(w.store, ownership.Retraction(ownership.Version{Source: "//nexus", ID: "bad"}, "", ""))
		require.False(t, w.entry("bad").Rewriting.Parked())
		require.NoError(t, worker.RunPending(t.Context()))
		require.Empty(t, w.wrong())
	})
}
