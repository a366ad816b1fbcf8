package regstore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/internal/storetest"
	"github.com/northstar-engines/realtime-registry/registry"
)

// deletable is a database that may be missing for a process.
type deletable struct {
	*memdb.DB
	missing bool
}

func (d *deletable) asSeen() docdb.DB {
	return docdbtest.Around(d.DB, func(_ *docdbtest.Call, do func() error) error {
		if d.missing {
			return status.Error(codes.NotFound, "The database (default) does not exist for project p")
		}
		return do()
	})
}

func openOver(t *testing.T, db docdb.DB) *regstore.Store {
	t.Helper()
	s, err := regstore.Open(t.Context(), db, regstore.Options{LedgerRate: 1e6})
	require.NoError(t, err)
	return s
}

func tenantMove(from, to, id string) []ownership.Change {
	return []ownership.Change{{Entry: ownership.Entry{Type: ownership.Moved, From: from, To: to,
		Version: ownership.Version{Time: time.Unix(1000, 0).UTC(), Source: "//nexus", ID: id}}}}
}

// A database that was deleted and restored under its name is used before anybody has
// recovered it, and the ledger is at the position at which it was. Nothing but that the
// database was gone shows that it is another.
func TestADatabaseThatWasGoneIsAnotherOne(t *testing.T) {
	db := &deletable{DB: memdb.New(time.Now)}
	living, newcomer := openOver(t, db.asSeen()), openOver(t, db)
	requireAll(t, ownership.Applied, newcomer.Apply(t.Context(), creations("x", 1)))
	restore := storetest.Outside{DB: db}.Backup()
	cursor := ownership.NewFeedCursor(func([]ownership.FeedEntry) {})
	missed := func() bool {
		t.Helper()
		batch, err := living.Changes(t.Context(), cursor)
		require.NoError(t, err)
		return batch.Missed
	}
	missed()
	require.False(t, missed())
	_, err := newcomer.Claim(t.Context(), "t_ann", registry.Resource{Kind: registry.Thread, ID: "lost"})
	require.NoError(t, err)

	db.missing = true
	_, err = living.Read(t.Context(), nil)
	require.ErrorIs(t, err, registry.ErrUnavailable)
	restore()
	db.missing = false
	require.True(t, missed(), "what was kept may not be there")
	require.False(t, missed())
	requireAll(t, ownership.Applied, living.Apply(t.Context(), append(creations("y", 1), tenantMove("t_a", "t_b", "m")...)))
	snapshot, err := living.Read(t.Context(), []registry.Resource{creations("x", 1)[0].Resource})
	require.NoError(t, err)
	require.Equal(t, "t_b", snapshot.Records[0].History.Owner(snapshot.Ledger))
	epoch, position, ok := living.Held()
	stored, _, err := newcomer.Epoch(t.Context())
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, stored.Name, epoch, "it is the one that is stored")
	require.EqualValues(t, 1, position)
}

// Positions of a document, and so the order of jobs, go on from those before: there is
// no write that has a position which the ledger has not had.
func TestADocumentsPositionIsOneOfTheLedgerAfterARestoreToo(t *testing.T) {
	db := memdb.New(time.Now)
	s := openOver(t, db)
	requireAll(t, ownership.Applied, s.Apply(t.Context(), append(creations("x", 1), tenantMove("t_x", "t_y", "m1")...)))
	restore := storetest.Outside{DB: db}.Backup()
	requireAll(t, ownership.Applied, s.Apply(t.Context(), tenantMove("t_y", "t_z", "lost")))
	requireAll(t, ownership.Applied, s.Apply(t.Context(), creations("lost", 1)))
	restore()
	newcomer := openOver(t, db)
	_, _, err := newcomer.Recover(t.Context())
	require.NoError(t, err)
	_, err = s.Read(t.Context(), nil) // it sees the epoch
	require.NoError(t, err)
	requireAll(t, ownership.Applied, s.Apply(t.Context(), creations("y", 1)))
	require.NoError(t, newcomer.Export(t.Context(), func(r ownership.Record, l *ownership.Ledger) error {
		require.LessOrEqual(t, r.LedgerPosition, l.Position(), r.Document)
		return nil
	}))
}
