package governor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheRampIs500AndHalfMoreEvery5Minutes(t *testing.T) {
	require.EqualValues(t, 500, Ramp.at(0))
	require.EqualValues(t, 500, Ramp.at(5*time.Minute-1))
	require.EqualValues(t, 750, Ramp.at(5*time.Minute))
	require.EqualValues(t, 1125, Ramp.at(10*time.Minute))
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
			require.GreaterOrEqual(t, took, want-time.Second, "but for a second's worth at the beginning")
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
