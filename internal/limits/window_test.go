package limits_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 123456000, time.UTC)

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

func TestAWindowHoldsUntilItsEndByTheStoresClock(t *testing.T) {
	policy := limits.Policy{Limit: 7, Window: 30 * time.Second}
	w := limits.Window{LastReset: seconds(noon), Count: 5, Length: time.Minute, Limit: 10, Generation: 3}
	for name, c := range map[string]struct {
		at   time.Duration
		want limits.Window
	}{
		"at its beginning":                          {0, w},
		"before its end, whatever the policy":       {time.Minute - time.Microsecond, w},
		"at its end":                                {time.Minute, limits.Window{LastReset: seconds(noon.Add(time.Minute)), Length: 30 * time.Second, Limit: 7, Generation: 3}},
		"long after":                                {time.Hour, limits.Window{LastReset: seconds(noon.Add(time.Hour)), Length: 30 * time.Second, Limit: 7, Generation: 3}},
		"read before it began, and keeps its count": {-time.Minute + time.Microsecond, limits.Window{LastReset: seconds(noon.Add(-time.Minute + time.Microsecond)), Count: 5, Length: time.Minute, Limit: 10, Generation: 3}},
		"read a whole length before it began":       {-time.Minute, limits.Window{LastReset: seconds(noon.Add(-time.Minute)), Length: 30 * time.Second, Limit: 7, Generation: 3}},
		"read long before it began":                 {-24 * time.Hour, limits.Window{LastReset: seconds(noon.Add(-24 * time.Hour)), Length: 30 * time.Second, Limit: 7, Generation: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, w.At(noon.Add(c.at), policy))
		})
	}
}

func TestAPythonWindowIsContinuedUnderThePolicy(t *testing.T) {
	policy := limits.Policy{Limit: 100, Window: time.Minute}
	python := limits.Window{LastReset: seconds(noon), Count: 42}
	require.Equal(t, limits.Window{LastReset: seconds(noon), Count: 42, Length: time.Minute, Limit: 100},
		python.At(noon.Add(59*time.Second), policy))
	require.Equal(t, limits.Window{LastReset: seconds(noon.Add(time.Minute)), Length: time.Minute, Limit: 100},
		python.At(noon.Add(time.Minute), policy))
}

func TestWhatIsNoNumberDoesNotLockATenantOut(t *testing.T) {
	policy := limits.Policy{Limit: 100, Window: time.Minute}
	for _, lastReset := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, 9e18, -9e18, 0, seconds(noon.Add(time.Minute))} {
		for _, length := range []time.Duration{0, time.Minute} {
			w := limits.Window{LastReset: lastReset, Count: 100, Length: length, Limit: int64(length / time.Minute)}.At(noon, policy)
			require.Equal(t, limits.Window{LastReset: seconds(noon), Length: time.Minute, Limit: 100}, w, "%v", lastReset)
		}
	}
	require.Zero(t, limits.Window{LastReset: seconds(noon), Count: -5}.At(noon, policy).Count, "nobody gets more than the limit")
}

func TestMicrosecondsSurviveTheRoundTripThroughSeconds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMicro(rapid.Int64Range(1e15, 4e15).Draw(t, "µs"))
		policy := limits.Policy{Limit: 1, Window: time.Duration(rapid.Int64Range(1, 2_592_000).Draw(t, "s")) * time.Second}
		w := limits.Window{}.At(at, policy)
		require.Equal(t, at.UnixMicro(), int64(math.Round(w.LastReset*1e6)))
		require.Equal(t, policy.Window, w.Left(at))
		end := at.Add(policy.Window)
		require.Equal(t, w, w.At(end.Add(-time.Microsecond), policy))
		require.Equal(t, seconds(end), w.At(end, policy).LastReset)
		w.Count = 1
		require.EqualValues(t, 1, w.At(at.Add(-policy.Window+time.Microsecond), policy).Count, "less than a length ahead: by somebody else's clock")
		require.Zero(t, w.At(at.Add(-policy.Window), policy).Count, "a length ahead: no window's beginning")
		require.Equal(t, time.Microsecond, w.Left(end.Add(-time.Microsecond)))
	})
}

func TestDocumentNamesSplitInOneWayOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := limits.Key{
			Tenant: rapid.StringMatching(`t_[a-z0-9_-]{1,126}`).Draw(t, "tenant"),
			Action: rapid.StringMatching(`[a-z0-9]+(_[a-z0-9]+)*`).Draw(t, "action"),
		}
		parsed, err := limits.ParseDocumentID(key.DocumentID())
		require.NoError(t, err)
		require.Equal(t, key, parsed)
	})
	for _, name := range []string{"", "t_a", "t_a__", "__b", "t_a__B", "a__b"} {
		_, err := limits.ParseDocumentID(name)
		require.ErrorIs(t, err, limits.ErrInvalid, name)
	}
}

// The floats of both sides of 2^31 have different grains.
func TestAWindowThatIsOpenWhenTheGrainChangesEndsInTime(t *testing.T) {
	policy := limits.Policy{Limit: 1, Window: time.Minute}
	for _, turn := range []int64{1 << 30, 1 << 31} {
		for µs := range int64(1000) {
			at := time.Unix(turn-30, µs*1000)
			w := limits.Window{}.At(at, policy)
			end := at.Add(policy.Window)
			require.Equal(t, w, w.At(end.Add(-time.Microsecond), policy))
			require.NotEqual(t, w, w.At(end, policy))
		}
	}
}
