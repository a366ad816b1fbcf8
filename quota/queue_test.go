package quota_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/memquota"
)

// jam is a store that can be read, and whose documents have so many writes waiting
// that no further one is answered in time.
type jam struct {
	*memquota.Store
	moves bool // others' writes are carried out meanwhile
}

func (j *jam) Save(ctx context.Context, key limits.Key, c limits.Change) (limits.Receipt, error) {
	if j.moves {
		now, err := j.Store.Load(ctx, key)
		if err == nil {
			w := now.Window
			w.Count++
			w.Sharing.Writes++
			_, err = j.Store.Save(ctx, key, limits.Change{Window: w, Since: now.Version})
		}
		if err != nil {
			return limits.Receipt{}, err
		}
	}
	<-ctx.Done()
	return limits.Receipt{}, fmt.Errorf("save: %w: %w", quota.ErrUnavailable, ctx.Err())
}

// ask asks every half second for a while, of a window that many processes use, and
// returns how many requests were refused early, and how many failed.
func (j *jam) ask(t *testing.T) (early, failed int) {
	now := float64(time.Now().UnixMicro()) / 1e6
	_, err := j.Store.Save(t.Context(), key, limits.Change{Since: limits.Absent, Window: limits.Window{
		LastReset: now, Length: time.Minute, Limit: 1000, Count: 50, Sharing: limits.Sharing{Writes: 50, Processes: 50, Crowd: 50},
	}})
	require.NoError(t, err)
	l := limiter(t, j, limitOf(1000, time.Minute))
	var all sync.WaitGroup
	var mu sync.Mutex
	for range 60 {
		all.Go(func() {
			began := time.Now()
			d, err := l.Allow(t.Context(), tenant, action)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				require.ErrorIs(t, err, quota.ErrUnavailable)
				failed++
			case d.Contended:
				require.LessOrEqual(t, time.Since(began), time.Second)
				early++
			}
		})
		time.Sleep(500 * time.Millisecond)
	}
	all.Wait()
	return early, failed
}

// A document that has more writers than it takes is no store that fails: a process that waits
// in its queue is refused early, and comes again.
func TestAFullQueueOfADocumentIsNoFailureOfTheStore(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		early, failed := (&jam{memquota.New(), true}).ask(t)
		require.Zero(t, failed)
		require.NotZero(t, early)
	})
}

func TestAStoreThatWritesNothingFailsForACrowdToo(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		_, failed := (&jam{memquota.New(), false}).ask(t)
		require.NotZero(t, failed)
	})
}
