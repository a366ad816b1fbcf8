package verifier

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
)

func missed(i int) missKey {
	return missKey{"t_ann", registry.Resource{Kind: registry.Thread, ID: fmt.Sprintf("th_%d", i)}}
}

func TestTheLatestMissesAreRememberedAndTheOthersForgotten(t *testing.T) {
	m, now := newMisses(), time.Unix(1_700_000_000, 0)
	for i := range 3 * missesKept {
		require.True(t, m.add(missed(i), miss{cause: unregistered, since: now}, now))
		require.LessOrEqual(t, len(m.at), missesKept)
	}
	for i := range 3 * missesKept {
		_, ok := m.take(missed(i), now)
		require.Equal(t, i >= 2*missesKept, ok)
	}
	require.Empty(t, m.at)
}

func TestAMissThatIsMissedAgainAfterItsHitIsANewOne(t *testing.T) {
	m, now := newMisses(), time.Unix(1_700_000_000, 0)
	for i := range 2 * missesKept { // each leaves its place in the ring behind
		now = now.Add(time.Millisecond)
		require.True(t, m.add(missed(0), miss{cause: unregistered, since: now}, now))
		require.False(t, m.add(missed(0), miss{cause: foreign, since: now.Add(time.Second)}, now.Add(time.Second)))
		got, ok := m.take(missed(0), now)
		require.True(t, ok, "round %d", i)
		require.Equal(t, now, got.since, "the first one's time")
		require.Equal(t, unregistered, got.cause, "and cause")
		_, ok = m.take(missed(0), now)
		require.False(t, ok)
		require.Empty(t, m.at)
	}
}

func TestAMissIsForgottenAfterAWhile(t *testing.T) {
	m, now := newMisses(), time.Unix(1_700_000_000, 0)
	m.add(missed(0), miss{since: now}, now)
	later := now.Add(missMemory)
	require.True(t, m.add(missed(0), miss{since: later}, later), "it counts as new")
	got, ok := m.take(missed(0), later.Add(missMemory-1))
	require.True(t, ok)
	require.Equal(t, later, got.since)
	m.add(missed(1), miss{since: now}, now)
	_, ok = m.take(missed(1), later)
	require.False(t, ok)
}
