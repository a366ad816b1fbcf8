package quota

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// Of two requests that wait, one may be given the unit that the other one counted
// on: then the window has too few for the other, which is refused.
func TestARequestThatCountedOnAnothersUnitIsRefused(t *testing.T) {
	noon := time.UnixMicro(1795441715427782)
	policy := limits.Policy{Limit: 4, Window: time.Minute}
	for name, sharing := range map[string]limits.Sharing{"alone": {}, "shared": {Writes: 2, Processes: 1}} {
		t.Run(name, func(t *testing.T) {
			w := policy.NewWindow(limits.UnixSeconds(noon.Add(-2*time.Second)), 0)
			w.Count, w.Sharing = 1, sharing
			b := &block{}
			b.answered(1, call{kind: load}, answer{sent: 1, snapshot: limits.Snapshot{Window: w, Version: 1, ReadTime: noon}}, policy)
			c := b.nextFor(1, 1, 1, 0)
			require.Equal(t, reserve, c.kind)
			b.answered(1, c, answer{sent: 1, receipt: limits.Receipt{Version: 2, CommitTime: noon}}, policy)
			require.EqualValues(t, 1, b.left, "one unit of its own, two that nobody has")

			three, one := &waiter{n: 3, answered: make(chan struct{})}, &waiter{n: 1, answered: make(chan struct{})}
			f := &flight{waiters: []*waiter{three, one}}
			for range 5 { // a read comes between, and tells nothing new
				c = f.nextLocked(b, 2, 0)
				require.NotEqual(t, reserve, c.kind, "%d of %d", c.window.Count, policy.Limit)
				if c.kind == load {
					b.answered(2, c, answer{sent: 2, snapshot: limits.Snapshot{Window: b.window(), Version: 2, ReadTime: noon}}, policy)
				}
			}
			require.True(t, one.decision.Allowed)
			require.True(t, three.done)
			require.False(t, three.decision.Allowed)
		})
	}
}
