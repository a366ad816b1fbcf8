package governor

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Work at the governor's rate for so long.
func work(t *testing.T, g *Governor, d time.Duration) (documents int) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); documents += 50 {
		require.NoError(t, g.Wait(t.Context(), 50))
	}
	return documents
}

func TestTheRampIs500AndHalfMoreEvery5MinutesThatWereUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Ramp)
		for _, want := range []float64{500, 750, 1125} {
			require.EqualValues(t, want, g.PerSecond())
			done := work(t, g, 5*time.Minute)
			require.InDelta(t, want*300, done, want+50)
		}
		time.Sleep(4 * time.Minute)
		require.EqualValues(t, 1687.5, g.PerSecond(), "a pause within a period costs nothing yet")
		time.Sleep(time.Minute)
		require.EqualValues(t, 500, g.PerSecond(), "after one that was not used it begins at the foot")
		time.Sleep(1000 * time.Hour)
		require.EqualValues(t, 500, g.PerSecond())

		require.NoError(t, g.Wait(t.Context(), 120_000)) // 400 a second
		time.Sleep(61 * time.Second)
		require.EqualValues(t, 600, g.PerSecond(), "half more than was used")
	})
}

func TestAGovernorOutlivesItsProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Ramp)
		work(t, g, 12*time.Minute)
		pace := g.Pace()
		require.EqualValues(t, 1125, pace.PerSecond)
		require.InDelta(t, 2*time.Minute, pace.Elapsed, float64(time.Second))
		require.EqualValues(t, 1125, Resume(Ramp, pace, time.Minute).PerSecond(), "in the same period")
		require.InDelta(t, 1125./300*120*1.5, Resume(Ramp, pace, 3*time.Minute).PerSecond(), 10, "of which 2 minutes were used")
		require.EqualValues(t, 500, Resume(Ramp, pace, time.Hour).PerSecond())
		require.EqualValues(t, 7, Resume(Rate{7}, pace, 0).PerSecond())
		require.EqualValues(t, 500, Resume(Ramp, New(Unlimited).Pace(), 0).PerSecond(), "which was never asked for")
		require.EqualValues(t, 500, Resume(Ramp, Pace{PerSecond: math.NaN()}, -time.Hour).PerSecond())
	})
}

func TestWhatIsLeftIsReckonedFromThePaceAndBoundedByTheWorker(t *testing.T) {
	at := Pace{PerSecond: 1125, Elapsed: 4 * time.Minute}
	most := math.Inf(1)
	require.Equal(t, time.Minute, Ramp.DurationFrom(at, most, 1125*60))
	require.Equal(t, 6*time.Minute, Ramp.DurationFrom(at, most, 1125*60+506_250))
	require.Equal(t, 100*time.Second, Ramp.DurationFrom(at, 100, 10_000))
	require.Equal(t, time.Minute+10*time.Second, Ramp.DurationFrom(at, 1200, 1125*60+12_000))
	require.Equal(t, 10*time.Second, Rate{100}.DurationFrom(at, most, 1000))
	require.Equal(t, 20*time.Second, Unlimited.DurationFrom(at, 50, 1000))
}

func TestTenMillionDocumentsTakeSome45Minutes(t *testing.T) {
	require.InDelta(t, 44, Ramp.Duration(10_000_000).Minutes(), 2)
	require.Equal(t, 2*time.Second, Ramp.Duration(1000))
	require.Equal(t, 10*time.Second, Rate{100}.Duration(1000))
	require.Zero(t, Unlimited.Duration(10_000_000))
}

func TestAJobTakesAsLongAsItsRateSays(t *testing.T) {
	for _, r := range []Rate{Ramp, {100}, {1}} {
		synctest.Test(t, func(t *testing.T) {
			const documents = 1200
			g, began := New(r), time.Now()
			for left := documents; left > 0; {
				n := g.Chunk(min(left, 500))
				require.NoError(t, g.Wait(t.Context(), n))
				left -= n
			}
			took, want := time.Since(began), r.Duration(documents)
			require.LessOrEqual(t, took, want)
			require.GreaterOrEqual(t, took, want-time.Second, "except for a second's worth at the beginning")
		})
	}
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(Rate{1})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		require.ErrorIs(t, g.Wait(ctx, 100), context.DeadlineExceeded)
		require.ErrorIs(t, New(Unlimited).Wait(ctx, 1), context.DeadlineExceeded)
	})
}

func TestRatesAreReadAsTheyAreWritten(t *testing.T) {
	for _, s := range []string{"ramp", "unlimited", "1", "2500"} {
		r, err := Parse(s)
		require.NoError(t, err)
		require.Equal(t, s, r.String())
	}
	for _, s := range []string{"", "0", "-1", "fast", "1.5", "1000001"} {
		_, err := Parse(s)
		require.Error(t, err, s)
	}
}
