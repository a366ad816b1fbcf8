package erasure_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/erasure"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

// A process that has read the ledger before the erasure began may write by it for as
// long as it may use it: what it creates is deleted as well.
func TestWhatAWriterCreatesThatKnowsOfNoErasureYetIsDeletedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := memregistry.Options{LedgerStaleness: 10 * time.Second, CommitDeadline: 5 * time.Second}
		s := memregistry.NewAt(time.Now).Open(o)
		apply(t, s, created(thread(1), left))
		writer := s.Open(o)
		apply(t, writer, created(thread(2), "t_else"))
		e := eraser(s)
		late := false
		e.Progress = func(p erasure.Progress) {
			if p.Step == erasure.Wait && !late {
				late = true
				apply(t, writer, created(thread(3), left))
				require.Equal(t, left, owners(t, s)["thread__th_3"], "it is written under the old name")
			}
		}
		r, err := e.Run(t.Context(), left, "op", "")
		require.NoError(t, err)
		require.True(t, late)
		require.Equal(t, 2, r.Documents)
		require.Equal(t, 2, r.Deleted)
		require.Empty(t, naming(t, s))
		require.Equal(t, map[string]string{"thread__th_2": "t_else"}, owners(t, s))
	})
}

// Starts read the ledger's snapshot, and none may name the tenant.
func TestAnErasureDropsTheLedgersSnapshot(t *testing.T) {
	s := memregistry.New()
	moves := []ownership.Change{moved(registry.Resource{}, left, "t_else", 30, "of "+left)}
	for i := range 500 { // as many as make a snapshot due
		moves = append(moves, moved(registry.Resource{}, "t_first", "t_else", 31+i, thread(i).ID))
	}
	apply(t, s, moves...)
	settle(t, s)
	written, err := s.WriteSnapshot(t.Context(), "a worker")
	require.NoError(t, err)
	require.True(t, written)
	r, err := eraser(s).Run(t.Context(), left, "op", "")
	require.NoError(t, err)
	require.Empty(t, r.Left, "the search looks into compressed chunks")
	require.Empty(t, naming(t, s))
}
