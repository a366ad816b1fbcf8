package verifier_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

func TestManyStreamsThatAreVerifiedAgainShedNobodysChecks(t *testing.T) {
	const streams = 1000
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_cat", thread("others"))
		store.gate = func(context.Context, []registry.Resource) error { time.Sleep(20 * time.Millisecond); return nil }
		v := keeping(t, store, verifier.Options{MaxWaiting: 200, MaxReads: 2})
		var again sync.WaitGroup
		for i := range streams {
			again.Go(func() {
				if err := v.Reverify(t.Context(), "t_ann", thread(fmt.Sprint("th_", i))); err != registry.ErrNotFound { //nolint:errorlint // exact
					t.Errorf("%d: %v", i, err)
				}
			})
		}
		synctest.Wait()
		for range 20 {
			began := time.Now()
			require.NoError(t, v.VerifyAll(t.Context(), "t_cat", []registry.Resource{thread("others")})[0])
			refused(t, v, "t_dan", "others")
			require.Less(t, time.Since(began), 200*time.Millisecond)
		}
		again.Wait()
	})
}

func TestAStreamThatIsVerifiedAgainHasNoGraceAndWaitsNoLongerThanItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{MissGrace: time.Minute, MaxWaiting: 10})
		require.NoError(t, v.Reverify(t.Context(), "t_ann", thread("th_1")))
		began := time.Now()
		require.ErrorIs(t, v.Reverify(t.Context(), "t_bob", thread("th_1")), registry.ErrNotFound)
		require.Zero(t, time.Since(began))
		require.ErrorIs(t, v.Reverify(t.Context(), "t_ann", thread("/")), registry.ErrInvalid)

		store.gate = hung
		go func() { _ = v.Reverify(t.Context(), "t_ann", thread("th_2")) }() // has the only turn
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, v.Reverify(ctx, "t_ann", thread("th_3")), registry.ErrUnavailable)
		require.Equal(t, time.Second, time.Since(began))
	})
}
