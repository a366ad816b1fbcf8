package storetest

import (
	"bytes"
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Backup is that of a Backend: what it returns brings every document back to what it
// is now, and deletes those that there are not. As after an import
// (https://cloud.google.com/firestore/docs/manage-data/export-import), all of them are
// written anew.
func (o Outside) Backup() (restore func()) {
	collections := []string{"realtime_registry", "realtime_registry_ledger", "realtime_registry_feed"}
	backup := map[string]*docdb.Document{}
	for _, c := range collections {
		for _, d := range o.all(docdb.Query{Collection: c}) {
			backup[d.Name] = d
		}
	}
	return func() {
		var writes []docdb.Write
		for _, c := range collections {
			for _, d := range o.all(docdb.Query{Collection: c}) {
				if backup[d.Name] == nil {
					writes = append(writes, docdb.Write{Name: d.Name, Delete: true})
				}
			}
		}
		for name, d := range backup {
			writes = append(writes, docdb.Write{Name: name, Fields: d.Fields})
		}
		o.commit(writes...)
	}
}

// recoverRegistry gives a restored registry its new epoch.
func recoverRegistry(t *testing.T, s Store) {
	t.Helper()
	before, after, err := s.Recover(context.Background())
	require.NoError(t, err)
	require.NotEqual(t, before.Name, after.Name)
	require.Equal(t, before.Position, after.Position, "positions go on from where they are")
}

// requireInDoubt requires that a store which lived through a restore neither answers
// nor writes, and says what to do.
func requireInDoubt(t *testing.T, s Store, f *follower) {
	t.Helper()
	ctx := context.Background()
	_, readErr := s.Read(ctx, []registry.Resource{thread("1")})
	_, claimErr := s.Claim(ctx, "t_new", thread("new"))
	_, feedErr := s.Changes(ctx, f.cursor)
	outcome := s.Apply(ctx, []ownership.Change{tenantMoved("t_new", "t_newer", 50, "in doubt")})[0]
	for _, err := range []error{readErr, claimErr, feedErr, outcome.Err} {
		require.ErrorIs(t, err, registry.ErrUnavailable)
		require.ErrorContains(t, err, "registry-worker recover")
	}
}

// A process that held the ledger at position 1 lives through a restore to before it.
// Then another process changes the ledger, and position 1 is another change.
func restoredUnderAProcess(t *testing.T, b Backend) {
	ctx := context.Background()
	living, f := b.Open(), follow(t, b.Open())
	apply(t, living, created(thread("1"), "t_a", 1, "e1"), created(thread("2"), "t_x", 1, "e2"))
	restore := b.Backup()
	apply(t, living, tenantMoved("t_a", "t_b", 10, "lost"))
	require.Equal(t, "t_b", owner(t, living, thread("1")))
	f.read()
	f.read()

	restore()
	requireInDoubt(t, living, f)
	newcomer := b.Open()
	apply(t, newcomer, tenantMoved("t_x", "t_y", 11, "after"))
	requireInDoubt(t, living, f)

	recoverRegistry(t, newcomer)
	require.Equal(t, "t_a", owner(t, living, thread("1")), "the move was lost with the restore")
	require.Equal(t, "t_y", owner(t, living, thread("2")))
	batch, _ := f.read()
	require.True(t, batch.Missed, "nothing that was kept may be relied on")
	require.EqualValues(t, 1, batch.Ledger.Position())
	batch, _ = f.read()
	require.False(t, batch.Missed)
	require.Equal(t, "t_y", owner(t, newcomer, thread("2")), "who recovered it goes on too")

	apply(t, living, created(thread("1"), "t_a", 1, "e1"), created(thread("2"), "t_x", 1, "e2"), created(thread("3"), "t_a", 12, "e3"))
	for id, want := range map[string]string{"1": "t_a", "2": "t_y", "3": "t_a"} {
		require.Equal(t, want, written(t, b.Open(), thread(id)), "it writes by the ledger that is stored")
	}
	apply(t, living, tenantMoved("t_a", "t_b", 10, "lost"), tenantMoved("t_y", "t_z", 13, "next"))
	require.Equal(t, "t_b", owner(t, newcomer, thread("1")), "it is delivered again")
	require.Equal(t, "t_z", owner(t, b.Open(), thread("2")))
	_, ledger := read(t, living, thread("1"))
	require.EqualValues(t, 3, ledger.Position())
	_, err := living.Claim(ctx, "t_new", thread("new"))
	require.NoError(t, err)
}

// A registry that was not restored may be recovered, by anyone, at any time.
func recoveredForNothing(t *testing.T, b Backend) {
	s, other := b.Open(), b.Open()
	_, _, err := other.Recover(context.Background())
	if err != nil { // no head yet
		require.ErrorContains(t, err, "nothing was ever written")
	}
	apply(t, s, created(thread("1"), "t_a", 1, "e1"), tenantMoved("t_a", "t_b", 2, "m1"))
	for range 2 {
		recoverRegistry(t, other)
		require.Equal(t, "t_b", owner(t, s, thread("1")))
	}
	apply(t, s, tenantMoved("t_b", "t_c", 3, "m2"))
	require.Equal(t, "t_c", owner(t, other, thread("1")))
	requireSameLedger(t, b, s)
}

// A snapshot of the ledger before a restore, which a process may even have written
// after it, is not that of the epoch.
func snapshotOfAnotherEpoch(t *testing.T, b Backend) {
	s := b.Open()
	for i := range SnapshotEvery {
		apply(t, s, tenantMoved("t_a", "t_b", i, string(rune('a'+i))))
	}
	require.True(t, writeSnapshot(t, s, "w"))
	recoverRegistry(t, s)
	var log bytes.Buffer
	_, ledger := read(t, b.OpenLogged(slog.New(slog.NewTextHandler(&log, nil))), thread("1"))
	require.EqualValues(t, SnapshotEvery, ledger.Position())
	require.Contains(t, log.String(), "the registry was recovered since")
	require.True(t, writeSnapshot(t, s, "w"), "another is due")
	log.Reset()
	b.OpenLogged(slog.New(slog.NewTextHandler(&log, nil)))
	require.Empty(t, log.String())
	requireSameLedger(t, b, s)
}
