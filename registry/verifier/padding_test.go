package verifier_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

func TestARefusalTakesAWholeNumberOfSteps(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		took := time.Duration(0)
		store.gate = func(context.Context, []registry.Resource) error { time.Sleep(took); return nil }
		v := newVerifier(t, store, verifier.Options{})
		for read, want := range map[time.Duration]time.Duration{
			0: 0, time.Microsecond: 10 * time.Millisecond, 3 * time.Millisecond: 10 * time.Millisecond,
			10 * time.Millisecond: 10 * time.Millisecond, 12 * time.Millisecond: 20 * time.Millisecond,
		} {
			took = read
			for _, id := range []string{"th_1", "nobodys"} {
				began := time.Now()
				refused(t, v, "t_bob", id)
				require.Equal(t, want, time.Since(began), "%s read in %v", id, read)
			}
			began := time.Now()
			for _, err := range v.VerifyAll(t.Context(), "t_bob", []registry.Resource{thread("th_1"), thread("nobodys")}) {
				require.ErrorIs(t, err, registry.ErrNotFound)
			}
			require.Equal(t, want, time.Since(began))

			began = time.Now()
			allowed(t, v, "t_ann", "th_1")
			require.Equal(t, read, time.Since(began), "who is let in does not wait")
		}
	})
}

func TestARefusalWaitsNoLongerThanItsCaller(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		store.gate = func(context.Context, []registry.Resource) error { time.Sleep(2 * time.Millisecond); return nil }
		v := newVerifier(t, store, verifier.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Millisecond)
		defer cancel()
		began := time.Now()
		require.ErrorIs(t, v.VerifyThreadAccess(ctx, "t_bob", "th_1"), registry.ErrNotFound)
		require.Equal(t, 4*time.Millisecond, time.Since(began))
	})
}
