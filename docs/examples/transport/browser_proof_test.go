//go:build proofs

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/storetest"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

// A page whose stream is open when the store goes away. Within the guard's patience
// it sees nothing of it. In a longer outage the stream ends, with its reason, comes
// back again and again, and goes on when the store does, without a reload.
func TestProofThatAnOpenPageOutlivesOutages(t *testing.T) {
	for name, outage := range map[string]time.Duration{"of 5 s": 5 * time.Second, "of 25 s": 25 * time.Second, "of 2 min": 2 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &storetest.Fragile{Store: memregistry.New()}
			page := inChromium(t, store)
			page.Await(own, "message ", soon)
			page.Await(foreign, "error, gave up", soon)

			began := time.Now()
			store.Down.Store(true)
			if outage > 10*time.Second {
				page.Await(own, "registry.closed registry_unavailable", soon)
				t.Logf("the stream ended %.1f s after the outage began", time.Since(began).Seconds())
				page.Await(own, "error, comes back", soon)
			}
			time.Sleep(time.Until(began.Add(outage))) // which is the outage
			store.Down.Store(false)
			page.Await(own, "message ", soon)
			t.Logf("a message came %.1f s after the outage ended", time.Since(began.Add(outage)).Seconds())
			if outage < 10*time.Second {
				require.NotContains(t, page.String(), own+"  error")
			}

			moved := time.Now()
			storetest.MoveTenant(t, store, "t_acme", "t_globex")
			page.Await(own, "registry.closed ownership_lost", soon)
			t.Logf("the page was told of the loss %.1f s after it", time.Since(moved).Seconds())
			page.Await(own, "error, gave up", soon)
		})
	}
}
