package verifier

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
)

func refusedOnce(i int) refusalKey {
	return refusalKey{"t_ann", registry.Resource{Kind: registry.Thread, ID: fmt.Sprintf("th_%d", i)}}
}

func TestTheLatestRefusalsAreRememberedAndTheOthersForgotten(t *testing.T) {
	m, now := newRefusals(), time.Unix(1_700_000_000, 0)
	for i := range 3 * refusalsKept {
		require.True(t, m.add(refusedOnce(i), refusal{cause: unregistered, since: now}, now))
		require.LessOrEqual(t, len(m.at), refusalsKept)
	}
	for i := range 3 * refusalsKept {
		_, ok := m.take(refusedOnce(i), now)
		require.Equal(t, i >= 2*refusalsKept, ok)
	}
	require.Empty(t, m.at)
}

func TestARefusalAfterAnAllowedCheckIsANewOne(t *testing.T) {
	m, now := newRefusals(), time.Unix(1_700_000_000, 0)
	for i := range 2 * refusalsKept { // each leaves its place in the ring behind
		now = now.Add(time.Millisecond)
		require.True(t, m.add(refusedOnce(0), refusal{cause: unregistered, since: now}, now))
		require.False(t, m.add(refusedOnce(0), refusal{cause: foreign, since: now.Add(time.Second)}, now.Add(time.Second)))
		got, ok := m.take(refusedOnce(0), now)
		require.True(t, ok, "round %d", i)
		require.Equal(t, now, got.since, "the first one's time")
		require.Equal(t, unregistered, got.cause, "and cause")
		_, ok = m.take(refusedOnce(0), now)
		require.False(t, ok)
		require.Empty(t, m.at)
	}
}

func TestARefusalIsForgottenAfterAWhile(t *testing.T) {
	m, now := newRefusals(), time.Unix(1_700_000_000, 0)
	m.add(refusedOnce(0), refusal{since: now}, now)
	later := now.Add(refusalMemory)
	require.True(t, m.add(refusedOnce(0), refusal{since: later}, later), "it counts as new")
	got, ok := m.take(refusedOnce(0), later.Add(refusalMemory-1))
	require.True(t, ok)
	require.Equal(t, later, got.since)
	m.add(refusedOnce(1), refusal{since: now}, now)
	_, ok = m.take(refusedOnce(1), later)
	require.False(t, ok)
}
