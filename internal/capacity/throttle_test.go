package capacity

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/quotastore"
	"github.com/northstar-engines/realtime-registry/quota"
)

// away is how far the metered store is.
const away = 20 * time.Millisecond

// throttled is processes that take units of one tenant's windows, of a limit that
// admits them, and what that is billed.
type throttled struct {
	processes int
	every     time.Duration // between the actions of one process
}

func (c throttled) String() string { return fmt.Sprintf("%d processes, each %v", c.processes, c.every) }

// run is c for so long.
func (c throttled) run(t *testing.T, lasts time.Duration) (actions, reads, writes float64) {
	m := newMetered()
	db := docdbtest.Around(m.DB, func(_ *docdbtest.Call, do func() error) error {
		time.Sleep(away)
		return do()
	})
	store, err := quotastore.New(db, quotastore.Options{})
	require.NoError(t, err)
	var all sync.WaitGroup
	var limiters []*quota.Limiter
	for i := range c.processes {
		l, err := quota.New(store, quota.Options{Policies: []quota.Policy{{Limit: 1_000_000, Window: time.Minute}}})
		require.NoError(t, err)
		limiters = append(limiters, l)
		all.Go(func() {
			time.Sleep(c.every * time.Duration(i) / time.Duration(c.processes))
			for range int(lasts / c.every) {
				d, err := l.Allow(t.Context(), exampleTenant, "chat_send")
				if err != nil || !d.Allowed {
					t.Errorf("refused: %v", err)
				}
				time.Sleep(c.every)
			}
		})
	}
	all.Wait()
	reads, writes, _ = m.take()
	for _, l := range limiters {
		require.NoError(t, l.Close(t.Context()))
	}
	return float64(c.processes * int(lasts/c.every)), reads, writes
}

// A write lasts for a second of a tenant's actions at most: how many that are is what
// --actions-per-block says.
func TestThrottledActionsAreBilledAsTheirLineSays(t *testing.T) {
	for _, c := range []throttled{
		{1, 5 * time.Minute}, {1, time.Minute}, {1, 10 * time.Second}, {1, time.Second}, {1, 100 * time.Millisecond}, {1, 10 * time.Millisecond},
		{2, 10 * time.Second}, {2, time.Second}, {20, 10 * time.Second}, {20, time.Second}, {20, time.Second / 5}, {200, 10 * time.Second}, {200, time.Second}, {200, time.Second / 5},
	} {
		t.Run(c.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lasts := max(5*time.Minute, 5*c.every)
				actions, reads, writes := c.run(t, lasts)
				l := line(t, Parameters{ThrottleActions: actions / (month * day), ActionsPerBlock: max(1, actions/writes)}, "throttle")
				t.Logf("%.0f actions: %.0f reads, %.0f writes; a write lasts for %.1f actions", actions, reads, writes, actions/writes)
				require.InDelta(t, l.Writes, writes, 1)
				require.LessOrEqual(t, reads, l.Reads+1)
			})
		})
	}
}
