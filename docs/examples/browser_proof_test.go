//go:build proofs

package examples

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/wire"
)

// A page of real FastAPI and uvicorn whose stream is open when the registry goes away.
// Within the guard's patience it sees nothing of it. In a longer outage the stream ends,
// with its reason, comes back again and again, and goes on when the registry does,
// without a reload.
func TestProofThatAnOpenPageOfFastAPIOutlivesOutages(t *testing.T) {
	for _, c := range []struct {
		name   string
		outage time.Duration
		begin  func(*wire.Link)
	}{
		{"refused for 5 s", 5 * time.Second, (*wire.Link).Refuse},
		{"refused for 25 s", 25 * time.Second, (*wire.Link).Refuse},
		{"silent for 25 s", 25 * time.Second, (*wire.Link).Blackhole},
		{"silent for 2 min", 2 * time.Minute, (*wire.Link).Blackhole},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			page := inChromium(t, false)
			page.Await(own, "message ", soon)
			page.Await(foreign, "error, gave up", soon)

			began := time.Now()
			c.begin(page.link)
			if c.outage > 10*time.Second {
				page.Await(own, "registry.closed registry_unavailable", soon)
				t.Logf("the stream ended %.1f s after the outage began", time.Since(began).Seconds())
				page.Await(own, "error, comes back", soon)
			}
			time.Sleep(time.Until(began.Add(c.outage))) // which is the outage
			page.link.Restore()
			page.Await(own, "message ", soon)
			t.Logf("a message came %.1f s after the outage ended", time.Since(began.Add(c.outage)).Seconds())
			if c.outage < 10*time.Second {
				require.NotContains(t, page.String(), own+"  error")
			}

			moved := page.moveAway()
			page.Await(own, "registry.closed ownership_lost", soon)
			t.Logf("the page was told of the loss %.1f s after it was published", time.Since(moved).Seconds())
			page.Await(own, "error, gave up", soon)
		})
	}
}
