package quota_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota"
)

// writesFail is a store that can be read, and says no to every write.
func writesFail(err error) func(string) (before, after error) {
	return func(operation string) (before, after error) {
		if operation == "save" {
			return err, nil
		}
		return nil, nil
	}
}

func TestThreeTriesAreThreeTriesWhereReadsSucceedAndWritesFail(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		store.fault = writesFail(errDown)
		l := limiter(t, store, quota.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		_, err := l.Allow(ctx, tenant, action)
		require.ErrorIs(t, err, quota.ErrUnavailable)
		require.ErrorIs(t, err, errDown)
		require.Equal(t, [2]int64{3, 3}, [2]int64{store.loads.Load(), store.saves.Load()})
		require.Less(t, time.Since(began), 100*time.Millisecond)
	})
}

func TestAllowOnErrorAnswersWithinTheTries(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		calls int64
		took  time.Duration
	}{
		"failures":   {errDown, 3, 100 * time.Millisecond},
		"lost races": {limits.ErrConflict, 15, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store := newStage()
				store.fault = writesFail(c.err)
				l := limiter(t, store, quota.Options{OnError: quota.Allow})
				began := time.Now()
				require.True(t, allow(t, l).FailedOpen)
				require.LessOrEqual(t, store.saves.Load(), c.calls)
				require.LessOrEqual(t, store.loads.Load(), c.calls)
				require.LessOrEqual(t, time.Since(began), c.took)
			})
		})
	}
}

func TestALostRaceIsNoFailureOfTheStore(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		store.fault = func(operation string) (before, after error) {
			if operation == "save" && store.saves.Load() <= 6 {
				return limits.ErrConflict, nil
			}
			return nil, nil
		}
		l := limiter(t, store, quota.Options{})
		began := time.Now()
		require.True(t, allow(t, l).Allowed, "more races than tries")
		require.EqualValues(t, 7, store.saves.Load())
		require.Greater(t, time.Since(began), 10*time.Millisecond, "with growing pauses")
	})
}

func TestALostRaceIsWaitedForWithABackoffThatASuccessfulReadDoesNotEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		store.fault = writesFail(limits.ErrConflict)
		l := limiter(t, store, quota.Options{Timeout: 20 * time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := l.Allow(ctx, tenant, action)
		require.ErrorIs(t, err, quota.ErrUnavailable)
		require.LessOrEqual(t, store.saves.Load(), int64(60), "once a second in the end, on the average")
		require.Equal(t, store.loads.Load(), store.saves.Load())
		time.Sleep(5 * time.Second) // what is under way ends by itself
	})
}

// storm asks for every key every twenty milliseconds, for some time.
func storm(t *testing.T, l *quota.Limiter, keys int, takes time.Duration) {
	var group sync.WaitGroup
	for i := range keys {
		group.Go(func() {
			for began := time.Now(); time.Since(began) < takes; time.Sleep(20 * time.Millisecond) {
				_, _ = l.Allow(t.Context(), fmt.Sprint("t_", i), action)
			}
		})
	}
	group.Wait()
}

func TestAStoreThatFailsIsNotStormed(t *testing.T) {
	const takes = 10 * time.Second
	for name, fault := range map[string]func(string) (before, after error){
		"down":                              down,
		"reads succeed, and writes fail":    writesFail(errDown),
		"reads succeed, and races are lost": writesFail(limits.ErrConflict),
	} {
		for _, keys := range []int{1, 200} {
			t.Run(fmt.Sprint(name, ", keys: ", keys), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					store := newStage()
					store.fault = fault
					l := limiter(t, store, quota.Options{})
					storm(t, l, keys, takes)
					calls := store.loads.Load() + store.saves.Load()
					t.Logf("%d calls in %v", calls, takes)
					// A call or two for each key before the failure is known, then the budget.
					require.Less(t, calls, int64(2*keys*4+2*(64+16*10)))
					if keys == 1 {
						require.Less(t, calls, int64(120), "by chance some 80 to 105")
					}
					store.fault = nil
					time.Sleep(2 * time.Second)
					before := store.saves.Load()
					storm(t, l, keys, 2*time.Second)
					require.GreaterOrEqual(t, store.saves.Load()-before, int64(keys), "it is asked again as soon as it answers")
				})
			})
		}
	}
}

func TestAKeyThatFailsAloneIsNotStormed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		store.faultFor = func(k limits.Key, operation string) error {
			if k == key && operation == "save" {
				return errDown
			}
			return nil
		}
		l := limiter(t, store, quota.Options{})
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				for range 500 {
					d, err := l.Allow(t.Context(), fmt.Sprint("t_", i), fmt.Sprint(action, i))
					require.NoError(t, err)
					require.NotZero(t, d)
					time.Sleep(20 * time.Millisecond)
				}
			})
		}
		failed := int64(0)
		for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(time.Millisecond) {
			_, err := l.Allow(t.Context(), tenant, action)
			require.ErrorIs(t, err, quota.ErrUnavailable)
			failed++
		}
		group.Wait()
		require.Greater(t, failed, int64(1000))
		require.LessOrEqual(t, store.failed.Load(), int64(36+10), "36 at once, then one a second")
	})
}

func TestAFailingStoreIsLoggedOnceAndItsRecovery(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		store.fault = down
		options, log := logged(quota.Options{})
		l := limiter(t, store, options)
		storm(t, l, 100, 5*time.Second)
		store.fault = nil
		storm(t, l, 100, 2*time.Second)
		synctest.Wait()
		require.Equal(t, 1, strings.Count(log.String(), "throttle's store fails"), log)
		require.Contains(t, log.String(), errDown.Error())
		require.Equal(t, 1, strings.Count(log.String(), "throttle's store answers again"), log)
	})
}

func TestUnitsThatCannotBeReleasedAreNoReasonToWaitForEver(t *testing.T) {
	for name, err := range map[string]error{"failure": errDown, "lost races": limits.ErrConflict} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store := newStage()
				l := limiter(t, store, quota.Options{})
				for range 8 {
					require.True(t, allow(t, l).Allowed)
				}
				store.fault = writesFail(err)
				began := time.Now()
				closed := l.Close(t.Context())
				require.LessOrEqual(t, time.Since(began), 3*time.Second)
				if errors.Is(err, limits.ErrConflict) {
					require.ErrorContains(t, closed, "7 units not released")
					require.ErrorIs(t, closed, limits.ErrConflict)
				}
			})
		})
	}
}
