package regstore_test

import (
	"errors"
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
	"github.com/northstar-engines/realtime-registry/registry"
)

// An archive of a million moves is longer under way than one query may be.
func TestAllMovesAreVisitedOnceThoughTheirQueryBreaksOff(t *testing.T) {
	const moves, between = 30, 7
	db := memdb.New(time.Now)
	down := false
	s, err := regstore.Open(t.Context(), docdbtest.Around(db, func(c *docdbtest.Call, do func() error) error {
		if c.Method == "Query" && c.Query.OrderBy == "seq" && !c.Query.At.IsZero() {
			visit, n := c.Visit, 0
			c.Visit = func(d *docdb.Document) error {
				if n++; n > between || down {
					return status.Error(codes.Unavailable, "down")
				}
				return visit(d)
			}
		}
		return do()
	}), regstore.Options{LedgerRate: 1e6})
	require.NoError(t, err)
	requireAll(t, ownership.Applied, s.Apply(t.Context(), tenantMoves("m", moves)))
	at, err := s.AsOf(t.Context(), time.Time{})
	require.NoError(t, err)
	requireAll(t, ownership.Applied, s.Apply(t.Context(), tenantMoves("later", 1)))

	var visited []int64
	visit := func(e ownership.LedgerEntry) error { visited = append(visited, e.Position); return nil }
	require.NoError(t, s.EachMove(t.Context(), at.ReadTime, visit))
	var want []int64
	for i := range int64(moves) {
		want = append(want, at.Ledger.Position()-moves+1+i)
	}
	require.Equal(t, want, visited)

	down = true
	require.ErrorIs(t, s.EachMove(t.Context(), at.ReadTime, visit), registry.ErrUnavailable, "it brings nothing")
	down = false
	full := errors.New("the disk is full")
	require.ErrorIs(t, s.EachMove(t.Context(), at.ReadTime, func(ownership.LedgerEntry) error { return full }), full)
}
