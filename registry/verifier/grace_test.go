package verifier_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

const grace = 2 * time.Second

func TestTheGraceFindsWhatComesLate(t *testing.T) {
	for _, late := range []time.Duration{time.Millisecond, 100 * time.Millisecond, time.Second, grace - time.Nanosecond} {
		synctest.Test(t, func(t *testing.T) {
			store := newGatedStore(nil)
			v := newVerifier(t, store, verifier.Options{MissGrace: grace})
			time.AfterFunc(late, func() { claim(t, store, "t_ann", thread("th_1")) })
			began := time.Now()
			require.NoError(t, v.VerifyThreadAccess(t.Context(), "t_ann", "th_1"), "%v late", late)
			require.LessOrEqual(t, time.Since(began), late+400*time.Millisecond, "soon after it is there")
			require.LessOrEqual(t, store.count(), 20)
		})
	}
}

func TestEveryRefusalTakesTheWholeGraceWhateverItsCause(t *testing.T) {
	for _, tenant := range []string{"t_nobody", "t_foreign", "t_before"} {
		synctest.Test(t, func(t *testing.T) {
			store := newGatedStore(nil)
			if tenant != "t_nobody" {
				claim(t, store, "t_before", thread("th_1"))
				move(t, store, "t_before", "t_after", registry.Resource{})
			}
			v := newVerifier(t, store, verifier.Options{MissGrace: grace})
			began := time.Now()
			require.ErrorIs(t, v.VerifyThreadAccess(t.Context(), tenant, "th_1"), registry.ErrNotFound)
			require.Equal(t, grace, time.Since(began))
			require.InDelta(t, 13, store.count(), 5)
		})
	}
}

func TestTheOwnerNeverWaitsForTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newGatedStore(nil)
		claim(t, store, "t_ann", thread("th_1"))
		v := newVerifier(t, store, verifier.Options{MissGrace: grace})
		began := time.Now()
		require.NoError(t, v.VerifyThreadAccess(t.Context(), "t_ann", "th_1"))
		require.Zero(t, time.Since(began))
		require.Equal(t, 1, store.count())
	})
}

func TestTheCallersDeadlineEndsTheGraceInTheRefusal(t *testing.T) {
	for _, slow := range []time.Duration{0, 400 * time.Millisecond} { // between two reads; in one
		synctest.Test(t, func(t *testing.T) {
			store := newGatedStore(func(ctx context.Context, _ []registry.Resource) error {
				select {
				case <-time.After(slow):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
			v := newVerifier(t, store, verifier.Options{MissGrace: time.Hour})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			began := time.Now()
			require.ErrorIs(t, v.VerifyThreadAccess(ctx, "t_ann", "th_1"), registry.ErrNotFound)
			require.Equal(t, time.Second, time.Since(began))
		})
	}
}

func TestAStoreThatFailsWithinTheGraceIsNoRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int32
		store := newGatedStore(func(context.Context, []registry.Resource) error {
			if reads.Add(1) > 2 {
				return fmt.Errorf("read: %w", registry.ErrUnavailable)
			}
			return nil
		})
		v := newVerifier(t, store, verifier.Options{MissGrace: grace})
		err := v.VerifyThreadAccess(t.Context(), "t_ann", "th_1")
		require.ErrorIs(t, err, registry.ErrUnavailable)
		require.NotErrorIs(t, err, registry.ErrNotFound)
	})
}
