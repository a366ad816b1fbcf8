package quota_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/memquota"
)

func TestTheDefaultIsAHundredAMinute(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		l := limiter(t, memquota.New(), quota.Options{})
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
		l := limiter(t, memquota.New(), limitOf(1, time.Minute))
		for _, k := range []limits.Key{{Tenant: "t_a", Action: "b"}, {Tenant: "t_b", Action: "b"}, {Tenant: "t_a", Action: "c"}, {Tenant: "t_a__b", Action: "b"}, {Tenant: "t_a_", Action: "b"}} {
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
		require.EqualValues(t, 60, count(t, store), "what is asked for is reserved, however much")
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

func TestOneReservationServesAllWhoWait(t *testing.T) {
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

func TestAnIdleBlockIsReleased(t *testing.T) {
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
		require.Equal(t, 7, drain(t, second), "released meanwhile")
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

func TestClocksOfProcessesDoNotMatter(t *testing.T) {
	for _, skew := range []time.Duration{-5 * time.Minute, 5 * time.Minute} {
		t.Run(skew.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store := memquota.NewAt(func() time.Time { return time.Now().Add(skew) })
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

func TestOptionsAreHeldToTheirBounds(t *testing.T) {
	_, err := quota.New(memquota.New(), quota.Options{
		OnError: "maybe", Timeout: -1, PolicyFile: "no/such/file",
		Policies: []quota.Policy{{Limit: 0, Window: time.Minute}, {Limit: 1, Window: time.Millisecond}, {Tenant: "acme", Limit: 1, Window: time.Minute}, {Limit: 2, Window: time.Minute}},
	})
	for _, fault := range []string{"OnError", "Timeout", "no/such/file", "Policies[0]: invalid: limit is 0", "Policies[1]: invalid: window is 1ms", "Policies[2]", "Policies[3]: invalid: a second policy for default"} {
		require.ErrorContains(t, err, fault)
	}
	require.NotContains(t, err.Error(), "the one key", "what could not be read is not judged")
}
