package presence_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/presence"
)

// counting counts commits, and may be cut off.
type counting struct {
	docdb.DB
	commits atomic.Int64
	cut     atomic.Bool
}

func (c *counting) Commit(ctx context.Context, w ...docdb.Write) (docdb.Receipt, error) {
	c.commits.Add(1)
	if c.cut.Load() {
		return docdb.Receipt{}, context.DeadlineExceeded
	}
	return c.DB.Commit(ctx, w...)
}

func TestAProcessIsListedWhileItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := &counting{DB: memdb.New(time.Now)}
		var held presence.Held
		listed := func() int {
			all, err := presence.List(t.Context(), db)
			require.NoError(t, err)
			return len(all)
		}
		keep := func(id string) (end func()) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				presence.Keep(ctx, db, presence.Process{ID: id, Role: "worker", Version: "v1"}, func() presence.Held { return held }, slog.New(slog.DiscardHandler))
				close(done)
			}()
			synctest.Wait()
			return func() { cancel(); <-done }
		}
		first, second := keep("a"), keep("b")
		require.Equal(t, 2, listed())
		time.Sleep(time.Hour)
		require.Equal(t, 2, listed())
		require.LessOrEqual(t, db.commits.Load(), int64(2*61), "once a minute")
		first()
		require.Equal(t, 1, listed(), "one that ends takes it back")
		db.cut.Store(true) // it is killed, or cut off
		time.Sleep(presence.Gone - presence.Every)
		require.Equal(t, 1, listed())
		time.Sleep(presence.Every + time.Second)
		require.Zero(t, listed())
		db.cut.Store(false)
		time.Sleep(presence.Every)
		require.Equal(t, 1, listed(), "the outage is over")
		second()
	})
}
