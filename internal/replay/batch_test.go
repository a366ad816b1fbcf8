package replay_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/replay"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

// counting keeps how many creations and how many moves each call had.
type counting struct {
	consumer.Store
	mu    sync.Mutex
	calls []map[ownership.EntryType]int
}

func (c *counting) Apply(ctx context.Context, changes []ownership.Change) []ownership.Outcome {
	n := map[ownership.EntryType]int{}
	for _, change := range changes {
		n[change.Entry.Type]++
	}
	c.mu.Lock()
	c.calls = append(c.calls, n)
	c.mu.Unlock()
	return c.Store.Apply(ctx, changes)
}

// Four batches at once of lines that are as long as may be would else take half a
// gigabyte.
func TestABatchIsBoundedAsTheWorkersIs(t *testing.T) {
	const long = 200_000
	var lines []any
	for i := range 50 {
		lines = append(lines, fmt.Sprintf(
			`{"specversion":"1.0","type":"nexus.thread.created.v1","source":"//n","id":"c%d","time":"2024-01-01T00:00:00Z","data":{"tenant_id":"t_a","thread_id":"th-%d","text":%q}}`,
			i, i, strings.Repeat("x", long)))
	}
	threads := make([]int, 300)
	for i := range threads {
		threads[i] = i
	}
	lines = append(lines, tenantMoved(1, "t_a", "t_b", threads...), tenantMoved(2, "t_b", "t_c", threads...))
	s := &counting{Store: memregistry.New()}
	counts, _, err := run(t, s, archiveOf(t, lines...), func(o *replay.Options) { o.Batch = consumer.UsualBatch.Changes })
	require.NoError(t, err)
	require.Equal(t, len(lines), counts.Of(handlers.Applied))
	for _, n := range s.calls {
		require.LessOrEqual(t, int64(n[ownership.Created])*long, consumer.UsualBatch.Bytes)
		require.LessOrEqual(t, n[ownership.Moved], consumer.UsualBatch.Changes)
	}
}
