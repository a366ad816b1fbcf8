package main

import (
	"fmt"
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
	const (
		threads   = 2000
		documents = "realtime_registry"
		feed      = "realtime_registry_feed"
	)
	c := onEmulators(t)
	meter := wire.NewMeter()
	proxy, err := wire.NewProxy(c.project.FirestoreHost, meter.DialOptions()...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = proxy.Close() })
	c.project.FirestoreHost = proxy.Addr()
	c.run(exitDone, "provision")
	var creations, moves []string
	for i := range threads {
		creations = append(creations, created(fmt.Sprint("c", i), "2024-01-01T00:00:00Z", "t_a", fmt.Sprintf("th_%04d", i)))
		moves = append(moves, event(fmt.Sprint("m", i), "nexus.tenant.moved.v1", "2024-01-02T00:00:00Z",
			fmt.Sprintf(`{"from_tenant_id":"t_a","to_tenant_id":"t_b","resources":[{"kind":"thread","id":"th_%04d"}]}`, i)))
	}
	// deliver starts a worker that knows nothing of what was before.
	deliver := func(lines []string) {
		c.run(exitDone, "publish", write(t, lines...))
		meter.Reset()
		worker, url := c.service("run")
		require.Eventually(t, func() bool { return settledMessages(t, url) >= threads }, time.Minute, 20*time.Millisecond)
		worker.Signal(syscall.SIGTERM)
		require.Equal(t, exitDone, worker.Wait(30*time.Second))
	}

	deliver(creations)
	require.EqualValues(t, threads, meter.Writes(""), "a fresh creation costs one write")
	require.Zero(t, meter.Reads(documents), "and no read")

	// A process that knows nothing tries a few creates for each batch that is
	// under way before the first has come back; each of them is billed.
	deliver(creations)
	requireAbout(t, threads, meter.Reads(documents), "a redelivered duplicate costs one read")
	require.LessOrEqual(t, meter.Writes(""), int64(8*16), "and no write, but for the first few")

	// The document, and the feed entry by which caches hear of it, in one commit:
	// after a read, since the histories must be merged.
	deliver(moves)
	requireAbout(t, threads, meter.Reads(documents), "a move of a resource costs one read")
	require.EqualValues(t, threads, meter.Writes(documents), "one write of its document")
	require.EqualValues(t, threads, meter.Writes(feed), "and one of its feed entry")
}

// requireAbout allows for what Pub/Sub delivers twice, which costs a read.
func requireAbout(t *testing.T, want, got int64, message string) {
	t.Helper()
	require.InDelta(t, want, got, float64(want)/100, message)
}
