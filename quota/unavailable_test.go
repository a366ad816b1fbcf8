package quota_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/memquota"
)

func TestEachWaitsForItsOwnDeadlineOnly(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		store.latency.Store(int64(time.Hour))
		l := limiter(t, store, quota.Options{Timeout: 30 * time.Second})
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				deadline := time.Duration(i+1) * 100 * time.Millisecond
				ctx, cancel := context.WithTimeout(t.Context(), deadline)
				defer cancel()
				began := time.Now()
				_, err := l.Allow(ctx, tenant, action)
				require.ErrorIs(t, err, quota.ErrUnavailable)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, deadline, time.Since(began))
			})
		}
		group.Wait()
	})
}

func TestAHungStoreIsGivenUpAfterThreeTimeouts(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		store.latency.Store(int64(time.Hour))
		l := limiter(t, store, quota.Options{})
		began := time.Now()
		_, err := l.Allow(t.Context(), tenant, action)
		require.ErrorIs(t, err, quota.ErrUnavailable)
		require.WithinDuration(t, began.Add(3*time.Second), time.Now(), 100*time.Millisecond)
		require.EqualValues(t, 3, store.loads.Load())
		store.latency.Store(int64(0))
		require.True(t, allow(t, l).Allowed)
	})
}

// Others may always be quicker.
func TestRacesThatAreAlwaysLostAreAStoreThatDoesNotAnswerInTime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		store.fault = func(operation string) (before, after error) {
			if operation == "save" {
				return limits.ErrConflict, nil
			}
			return nil, nil
		}
		l := limiter(t, store, limitOf(5, time.Minute))
		for range 50 { // until the tries are used up, too
			_, err := l.Allow(t.Context(), tenant, action)
			require.ErrorIs(t, err, quota.ErrUnavailable)
		}
	})
}

func TestABlockIsSpentWhileTheStoreIsDown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		l := limiter(t, store, limitOf(100, time.Minute))
		require.True(t, allow(t, l).Allowed)
		require.True(t, allow(t, l).Allowed)
		store.fault = down
		require.True(t, allow(t, l).Allowed, "two were reserved for the second request")
		_, err := l.Allow(t.Context(), tenant, action)
		require.ErrorIs(t, err, quota.ErrUnavailable)
		require.ErrorIs(t, err, errDown)
	})
}

func TestAWindowThatIsKnownToBeFullIsRefusedWhileTheStoreIsDown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		l := limiter(t, store, limitOf(3, time.Minute))
		require.Equal(t, 3, drain(t, l))
		store.fault = down
		time.Sleep(30 * time.Second)
		require.False(t, allow(t, l).Allowed)
		time.Sleep(30 * time.Second)
		_, err := l.Allow(t.Context(), tenant, action)
		require.ErrorIs(t, err, quota.ErrUnavailable, "the window may be over")
	})
}

func TestAllowOnErrorLetsThroughAndSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		store.fault = down
		options := limitOf(5, time.Minute)
		options.OnError = quota.Allow
		l := limiter(t, store, options)
		for range 10 {
			require.Equal(t, quota.Decision{Allowed: true, Limit: 5, Length: time.Minute, FailedOpen: true}, allow(t, l))
		}
		store.fault = nil
		require.Equal(t, 5, drain(t, l), "what was let through is not counted")
	})
}

func TestALostReservationCountsAsNotObtained(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		l := limiter(t, store, limitOf(10, time.Minute))
		lost := 0
		store.fault = func(operation string) (before, after error) {
			if operation == "save" && lost < 2 {
				lost++
				return nil, errDown
			}
			return nil, nil
		}
		require.Equal(t, 8, drain(t, l), "of ten, two were reserved and never obtained")
		require.EqualValues(t, 10, count(t, store))
	})
}

func TestALostReleaseIsNotRepeated(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		l := limiter(t, store, limitOf(100, time.Minute))
		for range 8 { // blocks of 1, 2, 4 and 8
			require.True(t, allow(t, l).Allowed)
		}
		require.EqualValues(t, 15, count(t, store))
		releases := 0
		store.fault = func(operation string) (before, after error) {
			if operation == "save" {
				releases++
				return nil, errDown
			}
			return nil, nil
		}
		require.NoError(t, l.Close(t.Context()))
		require.Equal(t, 1, releases)
		require.EqualValues(t, 8, count(t, store))
	})
}

func TestAReleaseThatMeetsAnotherProcessIsDoneAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		first, second := limiter(t, store, limitOf(100, time.Minute)), limiter(t, store, limitOf(100, time.Minute))
		for range 8 {
			require.True(t, allow(t, first).Allowed)
		}
		require.True(t, allow(t, second).Allowed)
		require.NoError(t, first.Close(t.Context()))
		require.NoError(t, second.Close(t.Context()))
		require.EqualValues(t, 9, count(t, store))
	})
}

func TestWhoHasGoneTakesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		store.latency.Store(int64(100 * time.Millisecond))
		l := limiter(t, store, limitOf(1, time.Minute))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := l.Allow(ctx, tenant, action)
		require.ErrorIs(t, err, quota.ErrUnavailable)
		require.True(t, allow(t, l).Allowed)
		require.False(t, allow(t, l).Allowed)
	})
}

func TestWhileARefusalIsLookedAtAgainOthersDoNotWait(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		l := limiter(t, store, limitOf(1, time.Minute))
		require.Equal(t, 1, drain(t, l))
		store.latency.Store(int64(500 * time.Millisecond))
		time.Sleep(10 * time.Second)
		var first sync.WaitGroup
		first.Go(func() { require.False(t, allow(t, l).Allowed) })
		synctest.Wait()
		began := time.Now()
		for range 100 {
			require.False(t, allow(t, l).Allowed)
		}
		require.Zero(t, time.Since(began))
		first.Wait()
		require.Equal(t, 500*time.Millisecond, time.Since(began))
	})
}

func TestATenantThatComesBackDuringAReleaseIsServed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		l := limiter(t, store, limitOf(100, time.Hour))
		for range 8 { // of 15 reserved
			require.True(t, allow(t, l).Allowed)
		}
		store.latency.Store(int64(600 * time.Millisecond))
		for store.saves.Load() == 4 { // until the release is under way
			time.Sleep(100 * time.Millisecond)
		}
		require.True(t, allow(t, l).Allowed)
		saves := store.saves.Load()
		require.EqualValues(t, 4+2, saves, "the release, and a reservation")
		time.Sleep(5 * time.Second)
		require.Equal(t, saves, store.saves.Load(), "the reservation is not released at once")
	})
}

func TestAClosedLimiterIsUnavailable(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := limiter(t, memquota.New(), quota.Options{})
		require.NoError(t, l.Close(t.Context()))
		_, err := l.Allow(t.Context(), tenant, action)
		require.ErrorIs(t, err, quota.ErrUnavailable)
		require.NoError(t, l.Close(t.Context()))
	})
}

func TestCloseEndsWithItsContext(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		l := limiter(t, store, quota.Options{})
		for range 8 {
			require.True(t, allow(t, l).Allowed)
		}
		store.latency.Store(int64(time.Hour))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		require.ErrorIs(t, l.Close(ctx), context.DeadlineExceeded)
		require.Equal(t, 100*time.Millisecond, time.Since(began))
		time.Sleep(time.Minute) // what is under way ends by itself
	})
}

// In a crowd too: a read that does not end is not a race that others have won.
func TestAStoreThatDoesNotAnswerKeepsNobodyOfACrowdWaiting(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		now := float64(time.Now().UnixMicro()) / 1e6
		_, err := store.Save(t.Context(), key, limits.Change{Since: limits.Absent, Window: limits.Window{
			LastReset: now, Length: time.Minute, Limit: 100, Count: 100, Sharing: limits.Sharing{Writes: 50, Processes: 50, Crowd: 50},
		}})
		require.NoError(t, err)
		l := limiter(t, store, limitOf(100, time.Minute))
		require.False(t, allow(t, l).Allowed)
		time.Sleep(time.Minute) // the window is over
		store.latency.Store(int64(time.Hour))
		go func() { _, _ = l.Allow(t.Context(), tenant, action) }()
		time.Sleep(950 * time.Millisecond) // it has lost interest, and its read is about to fail
		began := time.Now()
		_, err = l.Allow(t.Context(), tenant, action)
		require.ErrorIs(t, err, quota.ErrUnavailable)
		require.Less(t, time.Since(began), 4*time.Second)
	})
}
