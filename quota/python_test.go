package quota_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota"
)

// python is the service that this one replaces: load, reset after 60 s, add one,
// save; a plain set of two fields.
func python(t *testing.T, store *stage) (allowed bool) {
	t.Helper()
	s, err := store.Store.Load(t.Context(), key)
	require.NoError(t, err)
	now := limits.UnixSeconds(time.Now())
	lastReset, count := s.Window.LastReset, s.Window.Count
	if s.Version == limits.Absent || now-lastReset > 60 {
		lastReset, count = now, 0
	}
	if count >= 100 {
		return false
	}
	store.SetPlain(key.Tenant, key.Action, lastReset, count+1)
	return true
}

func TestSwitchingFromPythonContinuesTheWindow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		for range 70 {
			require.True(t, python(t, store))
		}
		time.Sleep(30 * time.Second)
		l := limiter(t, store, quota.Options{})
		d := allow(t, l)
		require.Equal(t, 30*time.Second, d.ResetAfter)
		require.Equal(t, 29, drain(t, l))
		time.Sleep(30 * time.Second)
		require.Equal(t, 100, drain(t, l))
	})
}

func TestSwitchingBackToPythonContinuesTheWindow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		l := limiter(t, store, quota.Options{})
		for range 70 {
			require.True(t, allow(t, l).Allowed)
		}
		require.NoError(t, l.Close(t.Context()))
		admitted := 0
		for python(t, store) {
			admitted++
		}
		require.Equal(t, 30, admitted)
		time.Sleep(61 * time.Second)
		require.True(t, python(t, store))
	})
}

func TestAPythonClockThatIsAheadDoesNotLengthenTheWindow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		store.SetPlain(key.Tenant, key.Action, limits.UnixSeconds(time.Now().Add(50*time.Second)), 40)
		l := limiter(t, store, quota.Options{})
		d := allow(t, l)
		require.True(t, d.Allowed)
		require.Equal(t, time.Minute, d.ResetAfter)
		require.EqualValues(t, 59, d.Remaining, "its count is kept")
	})
}

func TestAPythonClockThatIsFarAheadLocksNobodyOut(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		store.SetPlain(key.Tenant, key.Action, limits.UnixSeconds(time.Now().Add(24*time.Hour)), 100)
		l := limiter(t, store, quota.Options{})
		d := allow(t, l)
		require.True(t, d.Allowed)
		require.Equal(t, time.Minute, d.ResetAfter)
		require.EqualValues(t, 99, d.Remaining, "a window begins anew")
		require.EqualValues(t, 1, count(t, store))
	})
}

func TestWithBothAtOnceEveryRequestIsAnswered(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		l := limiter(t, store, quota.Options{})
		admitted := map[bool]int{}
		for range 2000 { // two minutes
			turn := rand.IntN(2) == 0
			if turn && python(t, store) || !turn && allow(t, l).Allowed {
				admitted[turn]++
			}
			time.Sleep(60 * time.Millisecond)
		}
		t.Logf("admitted in two windows of 100: %d by Python, %d here", admitted[true], admitted[false])
		require.Positive(t, admitted[true])
		require.Positive(t, admitted[false])
	})
}
