package rewrite_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
)

func TestAJobThatMetWhatItDoesNotUnderstandIsGivenBackWithAllElseDone(t *testing.T) {
	w := newWorld(t)
	w.create(w.store, "t_a", ids(20)...)
	w.move(w.store, "t_a", "t_b", "m")
	w.store.SetFormat("thread__th-3", registry.Format+1)
	require.ErrorIs(t, w.worker(w.process(nil)).RunNext(t.Context()), registry.ErrTooNew)
	require.Empty(t, w.wrong(), "the others are done")
	job := w.entry("m").Rewriting
	require.Equal(t, registry.RewritingQueued, job.State, "for a worker that understands it")
	require.Empty(t, job.Cursor)

	w.store.SetFormat("thread__th-3", registry.Format) // a later release comes by
	require.NoError(t, w.worker(w.process(nil)).RunNext(t.Context()))
	require.Empty(t, w.wrong())
	require.Equal(t, registry.RewritingDone, w.entry("m").Rewriting.State)
}
