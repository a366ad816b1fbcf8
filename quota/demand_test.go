package quota_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/quota"
)

// The cost of admitting: reads and writes of the store per 1,000 admitted
// requests of one tenant, at a steady rate under a limit that admits it. The
// Python service costs 1,000 and 1,000.
func TestBusyTenantsAreWrittenOnceASecond(t *testing.T) {
	for _, c := range []struct {
		name          string
		pause         time.Duration
		reads, writes float64 // at most, per 1,000 admitted
	}{
		{"once a minute", time.Minute, 1000, 1000},
		{"1 a second", time.Second, 20, 1000},
		{"10 a second", 100 * time.Millisecond, 5, 120},
		{"100 a second", 10 * time.Millisecond, 5, 15},
		{"1000 a second", time.Millisecond, 1, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store := newStage()
				store.latency.Store(int64(5 * time.Millisecond))
				l := limiter(t, store, limitOf(120_000, time.Minute))
				const windows = 5
				requests := 0
				for began := time.Now(); time.Since(began) < windows*time.Minute; requests++ {
					require.True(t, allow(t, l).Allowed)
					time.Sleep(c.pause)
				}
				thousands := float64(requests) / 1000
				reads, writes := float64(store.loads.Load())/thousands, float64(store.saves.Load())/thousands
				t.Logf("%d requests: %.1f reads, %.1f writes per 1,000 admitted", requests, reads, writes)
				require.LessOrEqual(t, reads, c.reads)
				require.LessOrEqual(t, writes, c.writes)
			})
		})
	}
}

// Also one that has been forgotten meanwhile, and whose window is read again.
func TestATenantThatAsksNowAndThenReservesOne(t *testing.T) {
	for _, every := range []time.Duration{50 * time.Second, time.Minute, 5 * time.Minute} {
		t.Run(every.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				store := newStage()
				l := limiter(t, store, limitOf(100, time.Hour))
				for i := range 10 {
					require.True(t, allow(t, l).Allowed)
					require.EqualValues(t, i+1, count(t, store))
					time.Sleep(every)
				}
			})
		})
	}
}

func TestNearTheLimitNobodyStrandsAnothersBudget(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		var limiters []*quota.Limiter
		for range 4 {
			limiters = append(limiters, limiter(t, store, limitOf(1000, time.Minute)))
		}
		admitted := 0
		for range 55 {
			for _, l := range limiters {
				admitted += drain(t, l)
			}
			time.Sleep(time.Second)
		}
		require.GreaterOrEqual(t, admitted, 950, "what was put aside for parts is found by and by")
		require.LessOrEqual(t, admitted, 1000)
	})
}

func TestIdleKeysAreForgottenWithoutLosingACount(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		reader, meters := newReader()
		options := limitOf(10, time.Hour)
		options.MeterProvider = meters
		l := limiter(t, store, options)
		for range 7 {
			require.True(t, allow(t, l).Allowed)
		}
		require.EqualValues(t, 1, reader.sum(t, "quota.keys"))
		time.Sleep(3 * time.Minute)
		require.Zero(t, reader.sum(t, "quota.keys"))
		require.Equal(t, 3, drain(t, l))
	})
}

func TestTheEndOfAWindowFreesItsKey(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		reader, meters := newReader()
		options := limitOf(100, 5*time.Second)
		options.MeterProvider = meters
		l := limiter(t, newStage(), options)
		for range 4 {
			require.True(t, allow(t, l).Allowed)
		}
		time.Sleep(30 * time.Second)
		require.Zero(t, reader.sum(t, "quota.keys"))
		require.Positive(t, reader.sum(t, "quota.units.stranded"), "the rest of the last block ended with the window")
	})
}
