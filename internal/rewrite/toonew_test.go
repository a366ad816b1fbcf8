package rewrite_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

func TestAJobThatMetWhatItDoesNotUnderstandIsGivenBackWithAllElseDone(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create(w.store, "t_a", ids(20)...)
		w.move(w.store, "t_a", "t_b", "m")
		w.SetFormat("thread__th-3", ownership.Format+1)
		require.ErrorIs(t, w.worker(w.process(nil)).RunPending(t.Context()), registry.ErrTooNew)
		require.Empty(t, w.wrong(), "the others are done")
		job := w.entry("m").Rewriting
		require.Equal(t, ownership.RewritingQueued, job.State, "for a worker that understands it")
		require.Empty(t, job.Cursor)

		w.SetFormat("thread__th-3", ownership.Format) // a later release comes by
		require.NoError(t, w.worker(w.process(nil)).RunPending(t.Context()))
		require.Empty(t, w.wrong())
		require.Equal(t, ownership.RewritingDone, w.entry("m").Rewriting.State)
	})
}

func TestAJobThatWaitsForALaterReleaseHoldsUpNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.create(w.store, "t_a", ids(5)...)
		w.create(w.store, "t_x", "other")
		w.move(w.store, "t_a", "t_b", "1-waits")
		w.move(w.store, "t_b", "t_c", "2-behind") // of the same documents
		w.move(w.store, "t_x", "t_y", "3-other")
		w.SetFormat("thread__th-3", ownership.Format+1)
		older := w.worker(w.process(nil))
		require.ErrorIs(t, older.RunPending(t.Context()), registry.ErrTooNew)
		require.ErrorIs(t, older.RunPending(t.Context()), ownership.ErrNoJob)
		for id, state := range map[string]ownership.RewritingState{
			"1-waits": ownership.RewritingQueued, "2-behind": ownership.RewritingDone, "3-other": ownership.RewritingDone,
		} {
			require.Equal(t, state, w.entry(id).Rewriting.State, id)
		}
		require.Empty(t, w.wrong())

		for _, pause := range []time.Duration{time.Minute, 2 * time.Minute} { // each try reads all of its documents
			time.Sleep(pause - time.Second)
			require.ErrorIs(t, older.RunPending(t.Context()), ownership.ErrNoJob)
			time.Sleep(2 * time.Second)
			require.ErrorIs(t, older.RunPending(t.Context()), registry.ErrTooNew)
		}
		w.SetFormat("thread__th-3", ownership.Format) // a later release comes by
		require.NoError(t, w.worker(w.process(nil)).RunPending(t.Context()))
		require.Empty(t, w.wrong(), "what was behind it is done there too")
		require.Equal(t, ownership.RewritingDone, w.entry("1-waits").Rewriting.State)
	})
}
