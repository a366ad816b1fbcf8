package consumer

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// slowLedger is a store whose ledger waits for the gate, and for what ctx allows.
func slowLedger(gate <-chan struct{}) *store {
	return &store{apply: func(ctx context.Context, changes []ownership.Change) []ownership.Outcome {
		if changes[0].Resource == (registry.Resource{}) {
			select {
			case <-gate:
			case <-ctx.Done():
				return each(down).apply(ctx, changes)
			}
		}
		return each(applied).apply(ctx, changes)
	}}
}

func TestCreationsNeverWaitForTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound = 50
		gate := make(chan struct{})
		l := newLine()
		s := slowLedger(gate)
		running(t, s, l, Options{MaxOutstandingMessages: bound, Appliers: 2})
		var moves []*receipt
		for i := range bound {
			moves = append(moves, l.send(tenantMoved(fmt.Sprintf("t_%d", i), "t_b")))
		}
		synctest.Wait()
		began := time.Now()
		for i := range 5 * bound { // one after the other: none may wait
			require.True(t, l.send(created("t_a", fmt.Sprintf("th_%d", i))).wait())
		}
		require.Less(t, time.Since(began), time.Second, "a backlog as large as all that may be outstanding stood before them")
		close(gate)
		for _, r := range moves {
			require.True(t, r.wait())
		}
		for _, call := range s.attempts() {
			for _, change := range call {
				require.Equal(t, call[0].Resource == (registry.Resource{}), change.Resource == (registry.Resource{}), "no call is of both")
			}
		}
	})
}

func TestWhatComesWhileTheLedgerIsWrittenGoesIntoOneBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		l := newLine()
		s := slowLedger(gate)
		running(t, s, l, Options{})
		receipts := []*receipt{l.send(tenantMoved("t_first", "t_b"))}
		synctest.Wait()
		for i := range 700 {
			receipts = append(receipts, l.send(tenantMoved(fmt.Sprintf("t_%d", i), "t_b")))
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		close(gate)
		for _, r := range receipts {
			require.True(t, r.wait())
		}
		var sizes []int
		for _, call := range s.attempts() {
			sizes = append(sizes, len(call))
		}
		require.Equal(t, []int{1, 500, 200}, sizes)
	})
}

// The time that a batch waits for the one before it is not its own.
func TestABatchForTheLedgerHasADeadlineOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		s := &store{apply: func(ctx context.Context, changes []ownership.Change) []ownership.Outcome {
			calls.Add(1)
			time.Sleep(6 * time.Second)
			if ctx.Err() != nil {
				return each(down).apply(ctx, changes)
			}
			return each(applied).apply(ctx, changes)
		}}
		l := newLine()
		running(t, s, l, Options{CommitTimeout: 10 * time.Second})
		first := l.send(tenantMoved("t_1", "t_b"))
		synctest.Wait()
		second := l.send(tenantMoved("t_2", "t_b"))
		require.True(t, first.wait())
		require.True(t, second.wait())
		require.EqualValues(t, 2, calls.Load(), "each at the first attempt")
	})
}
