package rewrite_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/rewrite"
)

func (w *world) planner() rewrite.Planner {
	return rewrite.Planner{Store: w.process(nil), Rate: governor.Ramp}
}

func TestTheRetractionOfAMoveCountsThePlainSetsThatItCannotGiveBack(t *testing.T) {
	w := newWorld(t)
	w.create(w.store, "t_a", "untouched", "taken", "kept", "merged", "returned")
	w.create(w.store, "t_b", "own", "own-set")
	w.store.SetPlain("thread__early", "t_a", false)
	move := registry.Change{Entry: registry.Entry{Type: registry.Moved, From: "t_a", To: "t_b",
		Version: registry.Version{Time: w.now.Add(time.Second), Source: "//nexus", ID: "m"}}}
	w.apply(w.store, move)
	require.NoError(t, w.worker(w.process(nil)).RunNext(t.Context()))
	w.now = w.now.Add(time.Minute)
	w.store.SetPlain("thread__taken", "t_b", false)
	w.store.SetPlain("thread__merged", "t_b", true)
	w.store.SetPlain("thread__own-set", "t_b", false)
	w.store.SetPlain("thread__kept", "t_a", false)
	w.store.SetPlain("thread__returned", "t_a", true)

	plan, err := w.planner().Retraction(t.Context(), w.entry("m"))
	require.NoError(t, err)
	require.EqualValues(t, 3, plan.Owners[registry.Thread], "untouched, early, and merged, whose plain set changed nothing")
	require.EqualValues(t, 1, plan.Plain, "early")
	require.EqualValues(t, 2, plan.Kept, "taken, and own-set, which looks alike")
	require.EqualValues(t, 5, plan.Reads/2, "what the job reads: not what only the new owner has")
	require.EqualValues(t, 5, plan.Writes, "the plain sets of t_a are taken into the histories")
}
