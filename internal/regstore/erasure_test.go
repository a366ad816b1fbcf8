package regstore_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
)

func wholeMove(id, from, to string) []ownership.Change {
	return []ownership.Change{{Entry: ownership.Entry{
		Type: ownership.Moved, From: from, To: to, Version: ownership.Version{Time: time.Unix(9, 0), Source: "//n", ID: id},
	}}}
}

// A process has made many moves, so the next one waits for its turn for minutes. An
// erasure has begun and ended when it comes: nobody would find the name any more.
func TestAMoveThatHasWaitedDoesNotNameATenantThatWasErasedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memdb.New(time.Now)
		open := func() *regstore.Store {
			s, err := regstore.Open(t.Context(), db, regstore.Options{LedgerRate: 0.01})
			require.NoError(t, err)
			return s
		}
		busy, eraser := open(), open()
		for i := range 21 { // one more than the first ones, which wait for nothing
			require.Equal(t, ownership.Applied, busy.Apply(t.Context(), wholeMove(fmt.Sprint(i), "t_a", "t_b"))[0].Kind)
		}
		began, made := time.Now(), make(chan ownership.Outcome)
		go func() { made <- busy.Apply(t.Context(), wholeMove("of-t_left", "t_left", "t_b"))[0] }()
		synctest.Wait()
		key := ownership.NewErasureKey()
		name := key.Entry()
		for _, o := range eraser.ChangeLedger(t.Context(), []ownership.LedgerChange{
			ownership.Retraction(ownership.Version{Source: name.Source, ID: name.ID}, "op", "").Entry.LedgerChange(),
			key.BeginErasure("t_left", "op", ""), key.EndErasure("t_left"),
		}) {
			require.NoError(t, o.Err)
		}
		require.Equal(t, ownership.Applied, (<-made).Kind)
		require.Greater(t, time.Since(began), eraser.WriterHorizon(), "it has waited")
		moves, err := eraser.Moves(t.Context())
		require.NoError(t, err)
		for _, m := range moves {
			require.False(t, m.Named("t_left"), "%+v", m)
		}
		require.Equal(t, ownership.Duplicate, busy.Apply(t.Context(), wholeMove("of-t_left", "t_left", "t_b"))[0].Kind)
	})
}
