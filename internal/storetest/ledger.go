package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

func ledgerBatch(t *testing.T, b Backend) {
	const rows = 490
	s := b.Open()
	apply(t, s, tenantMoved("t_a", "t_b", 1, "known"))
	var changes []ownership.Change
	want := []ownership.OutcomeKind{ownership.Duplicate, ownership.Applied}
	changes = append(changes, tenantMoved("t_a", "t_b", 1, "known"), created(thread("1"), "t_n", 0, "e1"))
	for i := range rows {
		changes = append(changes, tenantMoved(fmt.Sprint("t_", i), "t_n", 5, fmt.Sprint("m", i)))
		want = append(want, ownership.Applied)
	}
	changes = append(changes, tenantMoved("t_0", "t_n", 5, "m0"), tenantMoved("t_0", "t_n", 4, "m0"))
	want = append(want, ownership.Duplicate, ownership.Applied)
	require.Equal(t, want, apply(t, s, changes...), "each has the outcome that it would have alone")

	_, ledger := read(t, b.Open(), thread("1"))
	require.EqualValues(t, rows+1, ledger.Position(), "an entry takes one position, whatever is in the batch")
	positions := map[int64]string{}
	for e := range ledger.Moves() {
		positions[e.Position] = e.ID
	}
	require.Len(t, positions, rows+1)
	require.Equal(t, "known", positions[1])
	for i := range rows {
		require.Equal(t, fmt.Sprint("m", i), positions[int64(i)+2], "positions are in the order of the changes")
	}
	require.Equal(t, kinds(ownership.Duplicate), apply(t, b.Open(), changes[len(changes)-1]))
}

// Each move takes everything of the owner to the next one, so that position and
// owner name one another: an answer that mixes two times gives itself away.
func besideMoves(t *testing.T, b Backend) {
	const moves = 20
	writer, reader := b.Open(), b.Open()
	apply(t, writer, created(thread("1"), "t_0", 0, "e1"))
	var running sync.WaitGroup
	defer running.Wait()
	done := make(chan struct{})
	running.Go(func() {
		defer close(done)
		for i := range moves {
			apply(t, writer, tenantMoved(fmt.Sprint("t_", i), fmt.Sprint("t_", i+1), i+1, fmt.Sprint("m", i)))
		}
	})
	for finished, i := false, 0; !finished; i++ {
		select {
		case <-done:
			finished = true
		default:
		}
		record, ledger := read(t, reader, thread("1"))
		require.Equal(t, fmt.Sprint("t_", ledger.Position()), record.History.Owner(ledger), "a read is of one time")
		made, err := reader.Claim(context.Background(), "t_x", canvas(fmt.Sprint(i)))
		require.NoError(t, err, "claims go on")
		require.True(t, made)
	}
	running.Wait()
	require.Equal(t, fmt.Sprint("t_", moves), owner(t, reader, thread("1")))
}

func ledgerPanic(t *testing.T, b Backend) {
	s := b.Open()
	defect := ownership.LedgerChange{
		Event:  ownership.EventName{Source: "//nexus", ID: "defect"},
		Update: func(ownership.LedgerEntry, bool, time.Time) ownership.LedgerUpdate { panic("defect") },
	}
	outcomes := b.ChangeLedger(s, []ownership.LedgerChange{
		tenantMoved("t_a", "t_b", 5, "m1").Entry.LedgerChange(), defect, tenantMoved("t_c", "t_d", 5, "m2").Entry.LedgerChange(),
	})
	require.Len(t, outcomes, 3)
	var panicked *ownership.PanicError
	require.ErrorAs(t, outcomes[1].Err, &panicked)
	require.Equal(t, kinds(ownership.Applied, ownership.Failed, ownership.Applied), kinds(outcomes[0].Kind, outcomes[1].Kind, outcomes[2].Kind))
	all, err := b.Open().Moves(context.Background())
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, kinds(ownership.Applied), apply(t, s, tenantMoved("t_e", "t_f", 5, "m3")), "the store goes on")
}
