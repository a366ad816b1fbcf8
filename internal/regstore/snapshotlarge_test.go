package regstore_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
)

func TestSnapshotsOfALargeLedgerAreTheLedger(t *testing.T) { requireSnapshotsOf(t, 3_000) }

// requireSnapshotsOf has a worker write a ledger of so many moves as workers do: moves
// and retractions in any order, some twice. Its count and sum are those of what is
// stored, and who starts from its snapshots knows the ledger.
func requireSnapshotsOf(t *testing.T, moves int) {
	const rounds = 4
	db := memdb.New(time.Now)
	entries := 0 // that the last start has read one by one
	open := func() *regstore.Store {
		entries = 0
		s, err := regstore.Open(t.Context(), docdbtest.Around(db, func(c *docdbtest.Call, do func() error) error {
			if visit := c.Visit; c.Method == "Query" && c.Query.OrderBy == "seq" {
				c.Visit = func(d *docdb.Document) error { entries++; return visit(d) }
			}
			return do()
		}), regstore.Options{LedgerRate: 1e6})
		require.NoError(t, err)
		return s
	}
	var changes []ownership.Change
	for i := range moves {
		v := ownership.Version{Time: time.Unix(int64(rand.IntN(1e6)), 0).UTC(), Source: "//nexus", ID: fmt.Sprintf("move-%d", i)}
		move := ownership.Change{Entry: ownership.Entry{Type: ownership.Moved, From: fmt.Sprintf("t_%d", rand.IntN(moves)), To: "t_to", Version: v}}
		changes = append(changes, move)
		switch rand.IntN(10) {
		case 0:
			changes = append(changes, ownership.Retraction(v, "ann", "no"))
		case 1:
			move.Entry.Time = v.Time.Add(-time.Hour) // the smaller time counts
			changes = append(changes, move)
		}
	}
	rand.Shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
	worker := open()
	for some := range slices.Chunk(changes, len(changes)/rounds+1) {
		for batch := range slices.Chunk(some, 500) {
			for _, o := range worker.Apply(t.Context(), batch) {
				require.NotEqual(t, ownership.Failed, o.Kind, "%v", o.Err)
			}
		}
		written, err := worker.WriteSnapshot(t.Context(), "w")
		require.NoError(t, err, "its count, or its sum, is not that of what is stored")
		require.True(t, written)
	}
	requireAll(t, ownership.Applied, worker.Apply(t.Context(), tenantMoves("behind", 100)))

	stored, err := worker.Moves(t.Context())
	require.NoError(t, err)
	started := open()
	require.LessOrEqual(t, entries, 110, "what is behind the snapshot")
	snapshot, err := started.Read(t.Context(), nil)
	require.NoError(t, err)
	want := ownership.NewLedger(snapshot.Ledger.Position(), stored)
	require.Equal(t, moves+100, want.Len())
	require.Equal(t, slices.Collect(want.Moves()), slices.Collect(snapshot.Ledger.Moves()))
}
