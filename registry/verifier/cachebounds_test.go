package verifier_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

func TestWhereNobodyAsksTheFeedIsNotRead(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{})
		allowed(t, v, "t_ann", "th_1")
		time.Sleep(2 * time.Minute)
		idle := store.feedReads()
		require.InDelta(t, 60, idle, 3, "one a second, for a minute")
		time.Sleep(time.Hour)
		require.Equal(t, idle, store.feedReads())

		move(t, store, "t_ann", "t_bob", thread("th_1"))
		refused(t, v, "t_ann", "th_1", "it is read")
		time.Sleep(time.Second)
		allowed(t, v, "t_bob", "th_1")
		before := store.count()
		allowed(t, v, "t_bob", "th_1")
		require.Equal(t, before, store.count())
	})
}

// busy is a store whose listener tells of n changes after a while.
type busy struct {
	*feedStore
	n int
}

func (s *busy) Listen(ctx context.Context, cursor *ownership.FeedCursor, _ func(int64)) error {
	pause(ctx, 2*time.Minute)
	for i := range s.n {
		cursor.Tell(ownership.FeedEntry{ID: fmt.Sprint(i), Resources: []registry.Resource{thread("th_1")}, At: time.Now()})
	}
	<-ctx.Done()
	return ctx.Err()
}

func TestMemoryIsBoundedAlsoWhereNobodyAsksAndMuchChanges(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		v := keeping(t, &busy{store, 170_000}, verifier.Options{})
		time.Sleep(3 * time.Minute)
		require.InDelta(t, 50_000, v.CacheStats().FeedEntries, 50_000)
	})
}

func TestAnEntryThatIsToldTwiceCountsOnce(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		store.listen = true // it is told by the listener, and by reads that overlap
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{})
		move(t, store, "t_ann", "t_bob", thread("th_1"))
		time.Sleep(S)
		for range 10 {
			allowed(t, v, "t_bob", "th_1")
			time.Sleep(S)
		}
		require.Equal(t, 1, store.count())
	})
}

func TestMemoryIsBoundedInEntriesAndBytes(t *testing.T) {
	for name, options := range map[string]verifier.Options{
		"entries": {CacheEntries: 100},
		"bytes":   {CacheBytes: 15_000},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, store *feedStore) {
				v := keeping(t, store, options)
				for i := range 1000 {
					claim(t, store, "t_ann", thread(fmt.Sprint("th_", i)))
					allowed(t, v, "t_ann", fmt.Sprint("th_", i))
				}
				stats := v.CacheStats()
				require.LessOrEqual(t, stats.Entries, int64(150))
				require.GreaterOrEqual(t, stats.Entries, int64(64))
				require.LessOrEqual(t, stats.Bytes, int64(17_000))
				before := store.count()
				allowed(t, v, "t_ann", "th_999")
				require.Equal(t, before, store.count(), "the newest is kept")
			})
		})
	}
}
