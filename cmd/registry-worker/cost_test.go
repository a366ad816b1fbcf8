package main

import (
	"fmt"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/wire"
)

// What the whole path bills in Firestore, from a message to its ack, counted at
// the wire beside the real program. (What reading the ledger costs does not grow
// with events, and is not in it.)
func TestWhatEventsCost(t *testing.T) {
	t.Parallel()
	const (
		threads   = 400
		documents = "realtime_registry"
		feed      = "realtime_registry_feed"
	)
	var creations, moves []string
	for i := range threads {
		creations = append(creations, created(fmt.Sprint("c", i), "2024-01-01T00:00:00Z", "t_a", fmt.Sprintf("th_%04d", i)))
		moves = append(moves, event(fmt.Sprint("m", i), "nexus.tenant.moved.v1", "2024-01-02T00:00:00Z",
			fmt.Sprintf(`{"from_tenant_id":"t_a","to_tenant_id":"t_b","resources":[{"kind":"thread","id":"th_%04d"}]}`, i)))
	}

	c := billed(t, threads, creations, creations, moves)
	require.EqualValues(t, threads, c[0].Writes[documents], "a fresh creation costs one write")
	require.Zero(t, c[0].Reads[documents], "and no read")
	require.Zero(t, c[0].Writes[feed])

	// A process that knows nothing tries a few creates for each batch that is
	// under way before the first has come back; each of them is billed.
	require.EqualValues(t, threads, c[1].Reads[documents], "a redelivered duplicate costs one read")
	require.LessOrEqual(t, c[1].Writes[documents], int64(8*16), "and no write, except for the first few")
	require.Zero(t, c[1].Writes[feed])

	// The documents, and the feed entry by which caches hear of them, in one commit:
	// after a read, since the histories must be merged.
	require.EqualValues(t, threads, c[2].Reads[documents], "a move of a resource costs one read")
	require.EqualValues(t, threads, c[2].Writes[documents], "one write of its document")
	require.NotZero(t, c[2].Writes[feed])
	require.LessOrEqual(t, c[2].Writes[feed], c[2].Calls["Commit"], "and each commit one of a feed entry")
}

// billed delivers one load after the other, each of n events, each to a worker
// that knows nothing of what was before, and returns what each was billed. On a
// machine that is so busy that calls do not end in time they are repeated, and
// billed again: such a round says nothing, and is done again.
func billed(t *testing.T, n int, loads ...[]string) []wire.Counts {
	t.Helper()
	const rounds = 4
round:
	for range rounds {
		c, meter := onEmulators(t), wire.NewMeter()
		proxy, err := wire.NewProxy(c.project.FirestoreHost, meter.DialOptions()...)
		require.NoError(t, err)
		t.Cleanup(func() { _ = proxy.Close() })
		c.project.FirestoreHost = proxy.Addr()
		c.run(exitDone, "provision")
		c.replay(created("begins", "2024-01-01T00:00:00Z", "t_z", "th_begins")) // who writes first looks for a past
		var counts []wire.Counts
		for _, lines := range loads {
			c.run(exitDone, "publish", write(t, lines...))
			meter.Reset()
			if !c.settle(n) {
				t.Log("calls were repeated: the round is done again")
				continue round
			}
			counts = append(counts, meter.Counts())
		}
		return counts
	}
	require.FailNow(t, "in no round did every call end in time")
	return nil
}

// settle runs a worker until it has settled n messages, and returns whether each
// of them was delivered and applied once.
func (c program) settle(n int) (once bool) {
	c.t.Helper()
	worker, url := c.service("run")
	require.Eventually(c.t, func() bool { return sum(c.t, url, "registry_events_total") >= n }, 2*time.Minute, 20*time.Millisecond)
	text := metrics(c.t, url)
	worker.Signal(syscall.SIGTERM)
	require.Equal(c.t, exitDone, worker.Wait(30*time.Second))
	return !repeated.MatchString(text)
}

// repeated is in the metrics once an attempt has failed, or a message came again.
var repeated = regexp.MustCompile(`(?m)^(registry_apply_retries_total(\{.*\})?|registry_events_total\{.*outcome="transient".*\}) [1-9]`)
