package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// requireSameLedger requires that a store which has just been opened holds the ledger
// that the others have.
func requireSameLedger(t *testing.T, b Backend, s Store) {
	t.Helper()
	_, want := read(t, s, thread("1"))
	_, got := read(t, b.Open(), thread("1"))
	require.Equal(t, want.Position(), got.Position())
	require.Equal(t, slices.Collect(want.Moves()), slices.Collect(got.Moves()))
	require.Equal(t, slices.Collect(want.Counting()), slices.Collect(got.Counting()))
	require.Equal(t, len(want.Unread()), len(got.Unread()))
}

func writeSnapshot(t *testing.T, s Store, holder string) bool {
	t.Helper()
	written, err := s.WriteSnapshot(context.Background(), holder)
	require.NoError(t, err)
	return written
}

// What is started from a snapshot knows everything that was changed before it and
// behind it: new moves, moves that are taken back, and such as take another's place.
func startsFromASnapshot(t *testing.T, b Backend) {
	s := b.Open()
	var changes []ownership.Change
	for i := range SnapshotEvery {
		changes = append(changes, tenantMoved(fmt.Sprint("t_a", i), "t_b", i+10, fmt.Sprint("m", i)))
	}
	require.False(t, writeSnapshot(t, s, "w"), "there is nothing")
	apply(t, s, changes[:SnapshotEvery-1]...)
	require.False(t, writeSnapshot(t, s, "w"), "none is due")
	apply(t, s, changes[SnapshotEvery-1])
	require.True(t, writeSnapshot(t, s, "w"))
	require.False(t, writeSnapshot(t, b.Open(), "w"), "it is there")
	requireSameLedger(t, b, s)

	retract(t, s, "m0")
	retract(t, s, "m-before-it-arrives")
	apply(t, s, tenantMoved("t_a1", "t_c", 1, "m1"), tenantMoved("t_a2", "t_b", 2, "m2"), tenantMoved("t_new", "t_b", 3, "new"))
	requireSameLedger(t, b, s)
	apply(t, s, created(thread("1"), "t_a1", 0, "e"))
	require.Equal(t, "t_c", owner(t, b.Open(), thread("1")))

	apply(t, s, tenantMoved("t_c", "t_d", 2, "more"))
	for i := range SnapshotEvery {
		apply(t, s, tenantMoved(fmt.Sprint("t_x", i), "t_b", i, fmt.Sprint("x", i)))
	}
	require.True(t, writeSnapshot(t, s, "w"), "the next one takes its place")
	requireSameLedger(t, b, s)
	require.Equal(t, "t_d", owner(t, b.Open(), thread("1")))
}

// An entry that the writer of a snapshot does not understand is not hidden by it: who
// starts meets the entry.
func snapshotOfTheUnread(t *testing.T, b Backend) {
	s := b.Open()
	var changes []ownership.Change
	for i := range SnapshotEvery {
		changes = append(changes, tenantMoved(fmt.Sprint("t_a", i), "t_b", i, fmt.Sprint("m", i)))
	}
	apply(t, s, append(changes, created(thread("1"), "t_a1", 1, "e"), created(thread("2"), "t_a2", 1, "e"))...)
	b.SetMoveFormat("//nexus", "m1", ownership.Format) // its time cannot be read
	require.True(t, writeSnapshot(t, b.Open(), "w"))
	requireSameLedger(t, b, b.Open())
	record, ledger := read(t, b.Open(), thread("1"))
	_, err := record.Owner(ledger)
	requireUnread(t, err)
	require.Equal(t, "t_b", owner(t, b.Open(), thread("2")), "what does not depend on it goes on")

	b.SetMoveFormat("//nexus", "m2", later)
	for i := range SnapshotEvery {
		apply(t, s, tenantMoved(fmt.Sprint("t_x", i), "t_b", i, fmt.Sprint("x", i)))
	}
	require.True(t, writeSnapshot(t, s, "w"))
	for _, id := range []string{"1", "2"} {
		record, ledger := read(t, b.Open(), thread(id))
		_, err := record.Owner(ledger)
		requireUnread(t, err)
	}
}

// SnapshotEvery is how many changes there are between snapshots of a backend's
// stores. Their chunks hold two or three moves.
const SnapshotEvery, ChunkBytes = 8, 120
