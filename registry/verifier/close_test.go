package verifier_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

func TestCloseWaitsForTheReadsUnderWayAndNoneComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFeedStore()
		reading := 0
		store.gate = func(ctx context.Context, _ []registry.Resource) error {
			reading++
			defer func() { reading-- }()
			<-ctx.Done()
			time.Sleep(time.Second) // a client that is slow to give up
			return ctx.Err()
		}
		v, err := verifier.New(store, verifier.Options{MaxStaleness: S, MaxReads: 1})
		require.NoError(t, err)
		answers := make(chan error, 2)
		for _, id := range []string{"th_1", "th_2"} { // one in a read, one behind it
			go func() { answers <- v.VerifyThreadAccess(t.Context(), "t_ann", id) }()
			synctest.Wait()
		}
		require.Equal(t, 1, reading)
		began := time.Now()
		v.Close()
		require.Zero(t, reading)
		require.LessOrEqual(t, time.Since(began), 2*time.Second)
		for range 2 {
			require.ErrorIs(t, <-answers, registry.ErrUnavailable)
		}
		reads, feedReads := store.count(), store.feedReads()
		require.ErrorIs(t, v.VerifyThreadAccess(t.Context(), "t_ann", "th_3"), registry.ErrUnavailable)
		time.Sleep(time.Hour)
		require.Equal(t, reads, store.count())
		require.Equal(t, feedReads, store.feedReads())
	})
}
