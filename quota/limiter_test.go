package quota_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/memory"
)

const (
	tenant = "t_acme"
	action = "chat_send"
)

var key = quota.Key{Tenant: tenant, Action: action}

// stage is a store whose calls are counted, take time, and go wrong as a test
// says.
type stage struct {
	*memory.Store
	latency      atomic.Int64 // of each call; nanoseconds
	fault        func(operation string) (before, after error)
	loads, saves atomic.Int64
}

func newStage() *stage { return &stage{Store: memory.New()} }

func (s *stage) Load(ctx context.Context, key quota.Key) (snapshot quota.Snapshot, err error) {
	s.loads.Add(1)
	err = s.around(ctx, "load", func() { snapshot, err = s.Store.Load(ctx, key) }, &err)
	return snapshot, err
}

func (s *stage) Save(ctx context.Context, key quota.Key, c quota.Change) (receipt quota.Receipt, err error) {
	s.saves.Add(1)
	err = s.around(ctx, "save", func() { receipt, err = s.Store.Save(ctx, key, c) }, &err)
	return receipt, err
}

func (s *stage) around(ctx context.Context, operation string, call func(), result *error) error {
	var before, after error
	if s.fault != nil {
		before, after = s.fault(operation)
	}
	if before == nil {
		call()
	}
	select {
	case <-time.After(time.Duration(s.latency.Load())):
	case <-ctx.Done():
		return fmt.Errorf("%s: %w: %w", operation, quota.ErrUnavailable, ctx.Err())
	}
	if err := errors.Join(before, after); err != nil {
		return fmt.Errorf("%s: %w: %w", operation, quota.ErrUnavailable, err)
	}
	return *result
}

var errDown = errors.New("down")

func down(string) (before, after error) { return errDown, nil }

// inBubble runs a test in time of its own: every wait is as long as it says and
// takes no time.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func limiter(t *testing.T, store quota.Store, options quota.Options) *quota.Limiter {
	l, err := quota.New(store, options)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

func limitOf(limit int64, window time.Duration) quota.Options {
	return quota.Options{Policies: []quota.Policy{{Limit: limit, Window: window}}}
}

func allow(t *testing.T, l *quota.Limiter) quota.Decision {
	t.Helper()
	return allowN(t, l, 1)
}

func allowN(t *testing.T, l *quota.Limiter, n int) quota.Decision {
	t.Helper()
	d, err := l.AllowN(t.Context(), tenant, action, n)
	require.NoError(t, err)
	return d
}

// drain asks until it is refused, and returns how many were let through.
func drain(t *testing.T, l *quota.Limiter) (admitted int) {
	t.Helper()
	for allow(t, l).Allowed {
		admitted++
	}
	return admitted
}

func count(t *testing.T, store quota.Store) int64 {
	t.Helper()
	s, err := store.Load(t.Context(), key)
	require.NoError(t, err)
	return s.Window.Count
}

func TestTheDefaultIsAHundredAMinute(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := limiter(t, memory.New(), quota.Options{})
		for i := range 100 {
			d := allow(t, l)
			require.True(t, d.Allowed)
			require.EqualValues(t, 100, d.Limit)
			require.EqualValues(t, 99-i, d.Remaining)
			require.Equal(t, time.Minute, d.ResetAfter)
			require.Zero(t, d.RetryAfter)
		}
		time.Sleep(20 * time.Second)
		d := allow(t, l)
		require.False(t, d.Allowed)
		require.Equal(t, 40*time.Second, d.RetryAfter)
		first := d.Window

		time.Sleep(d.RetryAfter)
		d = allow(t, l)
		require.True(t, d.Allowed, "the window has ended")
		require.NotEqual(t, first, d.Window)
		require.EqualValues(t, 99, d.Remaining)
	})
}

func TestTenantsAndActionsDoNotShareAWindow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := limiter(t, memory.New(), limitOf(1, time.Minute))
		for _, k := range []quota.Key{{Tenant: "t_a", Action: "b"}, {Tenant: "t_b", Action: "b"}, {Tenant: "t_a", Action: "c"}, {Tenant: "t_a__b", Action: "b"}, {Tenant: "t_a_", Action: "b"}} {
			d, err := l.Allow(t.Context(), k.Tenant, k.Action)
			require.NoError(t, err)
			require.True(t, d.Allowed, k)
		}
	})
}

func TestManyUnitsAreTakenAllOrNone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		l := limiter(t, store, limitOf(100, time.Minute))
		require.True(t, allowN(t, l, 60).Allowed)
		require.EqualValues(t, 60, count(t, store), "what is asked for is claimed, however much")
		d := allowN(t, l, 50)
		require.False(t, d.Allowed)
		require.EqualValues(t, 40, d.Remaining)
		require.True(t, allowN(t, l, 40).Allowed)
		require.False(t, allow(t, l).Allowed)
	})
}

func TestWhatIsNoRequestIsInvalid(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		l := limiter(t, store, quota.Options{})
		require.True(t, allow(t, l).Allowed)
		loads := store.loads.Load()
		for _, c := range []struct {
			tenant, action string
			n              int
		}{
			{"acme", action, 1}, {"", action, 1}, {"t_A", action, 1}, {"t_acme\x00chat", "send", 1}, {"t_acme/x", action, 1},
			{tenant, "", 1}, {tenant, "Chat", 1}, {tenant, "chat__send", 1}, {tenant, "_chat", 1}, {tenant, "chat\x00send", 1}, {tenant, "chat-send", 1},
			{tenant, action, 0}, {tenant, action, -1}, {tenant, action, 101}, {tenant, action, 1 << 40},
		} {
			_, err := l.AllowN(t.Context(), c.tenant, c.action, c.n)
			require.ErrorIs(t, err, quota.ErrInvalid, "%q", c)
			require.NotErrorIs(t, err, quota.ErrUnavailable)
		}
		require.Equal(t, loads, store.loads.Load(), "the store is not asked")
	})
}

func TestOneClaimServesAllWhoWait(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		store.latency.Store(int64(100 * time.Millisecond))
		l := limiter(t, store, limitOf(100_000, time.Minute))
		require.True(t, allow(t, l).Allowed)
		saves := store.saves.Load()
		var group sync.WaitGroup
		for range 500 {
			group.Go(func() { require.True(t, allow(t, l).Allowed) })
		}
		began := time.Now()
		group.Wait()
		require.LessOrEqual(t, store.saves.Load()-saves, int64(2), "the first one's, and one for all who came meanwhile")
		require.LessOrEqual(t, time.Since(began), 200*time.Millisecond)
	})
}

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

func TestABlockIsSpentWhileTheStoreIsDown(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		l := limiter(t, store, limitOf(100, time.Minute))
		require.True(t, allow(t, l).Allowed)
		require.True(t, allow(t, l).Allowed)
		store.fault = down
		require.True(t, allow(t, l).Allowed, "two were claimed for the second request")
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

func TestALostClaimCountsAsNotObtained(t *testing.T) {
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
		require.Equal(t, 8, drain(t, l), "of ten, two were claimed and never obtained")
		require.EqualValues(t, 10, count(t, store))
	})
}

func TestALostGiveBackIsNotRepeated(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		l := limiter(t, store, limitOf(100, time.Minute))
		for range 8 { // claims of 1, 2, 4 and 8
			require.True(t, allow(t, l).Allowed)
		}
		require.EqualValues(t, 15, count(t, store))
		gaveBack := 0
		store.fault = func(operation string) (before, after error) {
			if operation == "save" {
				gaveBack++
				return nil, errDown
			}
			return nil, nil
		}
		require.NoError(t, l.Close(t.Context()))
		require.Equal(t, 1, gaveBack)
		require.EqualValues(t, 8, count(t, store))
	})
}

func TestAGiveBackThatMeetsAnotherProcessIsDoneAgain(t *testing.T) {
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

func TestAnIdleBlockGoesBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		l, other := limiter(t, store, limitOf(100, time.Hour)), limiter(t, store, limitOf(100, time.Hour))
		for range 8 {
			require.True(t, allow(t, l).Allowed)
		}
		require.EqualValues(t, 15, count(t, store))
		time.Sleep(30 * time.Second)
		require.EqualValues(t, 8, count(t, store))
		require.Equal(t, 92, drain(t, other))
	})
}

func TestARefusalIsLookedAtAgain(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		first, second := limiter(t, store, limitOf(100, time.Minute)), limiter(t, store, limitOf(100, time.Minute))
		for range 8 {
			require.True(t, allow(t, first).Allowed)
		}
		require.Equal(t, 100-15, drain(t, second), "early by what the other holds")
		loads := store.loads.Load()
		for range 1000 {
			require.False(t, allow(t, second).Allowed)
		}
		require.Equal(t, loads, store.loads.Load(), "from memory")
		require.NoError(t, first.Close(t.Context()))
		time.Sleep(2 * time.Second)
		require.Equal(t, 7, drain(t, second), "given back meanwhile")
	})
}

func TestARefusedTenantDoesNotHammerTheStore(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		store.latency.Store(int64(10 * time.Millisecond))
		l := limiter(t, store, limitOf(10, time.Minute))
		drain(t, l)
		calls := store.loads.Load() + store.saves.Load()
		for range 5000 {
			require.False(t, allow(t, l).Allowed)
			time.Sleep(10 * time.Millisecond)
		}
		require.LessOrEqual(t, store.loads.Load()+store.saves.Load()-calls, int64(30))
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

func TestATenantThatComesBackDuringAGiveBackIsServed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		l := limiter(t, store, limitOf(100, time.Hour))
		for range 8 { // of 15 claimed
			require.True(t, allow(t, l).Allowed)
		}
		store.latency.Store(int64(600 * time.Millisecond))
		for store.saves.Load() == 4 { // until the give-back is under way
			time.Sleep(100 * time.Millisecond)
		}
		require.True(t, allow(t, l).Allowed)
		saves := store.saves.Load()
		require.EqualValues(t, 4+2, saves, "the give-back, and a claim")
		time.Sleep(5 * time.Second)
		require.Equal(t, saves, store.saves.Load(), "the claim is not given back at once")
	})
}

func TestClocksOfProcessesDoNotMatter(t *testing.T) {
	for _, skew := range []time.Duration{-5 * time.Minute, 5 * time.Minute} {
		t.Run(skew.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store := memory.NewAt(func() time.Time { return time.Now().Add(skew) })
				l := limiter(t, store, limitOf(10, time.Minute))
				require.Equal(t, 10, drain(t, l))
				time.Sleep(time.Minute - time.Millisecond)
				require.False(t, allow(t, l).Allowed)
				time.Sleep(time.Millisecond)
				require.Equal(t, 10, drain(t, l))
			})
		})
	}
}

func TestAClosedLimiterIsUnavailable(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := limiter(t, memory.New(), quota.Options{})
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

func TestOptionsAreHeldToTheirBounds(t *testing.T) {
	_, err := quota.New(memory.New(), quota.Options{
		OnError: "maybe", Timeout: -1, PolicyFile: "no/such/file",
		Policies: []quota.Policy{{Limit: 0, Window: time.Minute}, {Limit: 1, Window: time.Millisecond}, {Tenant: "acme", Limit: 1, Window: time.Minute}, {Limit: 2, Window: time.Minute}},
	})
	for _, fault := range []string{"OnError", "Timeout", "no/such/file", "Policies[0]: invalid: limit is 0", "Policies[1]: invalid: window is 1ms", "Policies[2]", "Policies[3]: invalid: a second policy for default"} {
		require.ErrorContains(t, err, fault)
	}
}
