package consumer

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

func TestASingleEventDoesNotWaitAndManyAreFolded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{apply: func(_ context.Context, changes []ownership.Change) []ownership.Outcome {
			time.Sleep(40 * time.Millisecond) // a commit takes its time
			return each(applied).apply(context.Background(), changes)
		}}
		l := newLine()
		running(t, s, l, Options{BatchChanges: 100, Linger: 5 * time.Millisecond})
		started := time.Now()
		require.True(t, l.send(created("t_a", "alone")).wait())
		require.Equal(t, 40*time.Millisecond, time.Since(started), "it lingered though nothing was in flight")

		first := l.send(created("t_a", "first"))
		synctest.Wait() // in flight
		sent := time.Now()
		second := l.send(created("t_a", "second"))
		time.Sleep(4 * time.Millisecond)
		third := l.send(created("t_a", "third"))
		require.True(t, first.wait() && second.wait() && third.wait())
		require.Equal(t, 45*time.Millisecond, third.at.Sub(sent), "linger, then the commit")
		require.Equal(t, second.at, third.at)

		var receipts []*receipt
		for i := range 250 {
			receipts = append(receipts, l.send(created("t_a", fmt.Sprintf("th_%d", i))))
		}
		for _, r := range receipts {
			require.True(t, r.wait())
		}
		sizes := 0
		for _, changes := range s.attempts() {
			require.LessOrEqual(t, len(changes), 100)
			sizes = max(sizes, len(changes))
		}
		require.Equal(t, 100, sizes)
	})
}

func TestBatchesAreBoundedByBytesAndByChangesOfMovesToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{apply: func(ctx context.Context, changes []ownership.Change) []ownership.Outcome {
			time.Sleep(time.Second) // so that batches fill in the meantime
			return each(applied).apply(ctx, changes)
		}}
		l := newLine()
		move := func(n int) Message {
			refs := make([]string, n)
			for i := range refs {
				refs[i] = fmt.Sprintf(`{"kind":"thread","id":"th_%d_%d"}`, n, i)
			}
			return message(string(events.TenantMovedType),
				`{"from_tenant_id":"t_a","to_tenant_id":"t_b","resources":[`+strings.Join(refs, ",")+`]}`)
		}
		receipts := []*receipt{l.send(move(300)), l.send(created("t_a", "small"))}
		for range 6 {
			receipts = append(receipts, l.send(move(60)))
		}
		big := created("t_a", "big")
		big.Data = []byte(strings.TrimSuffix(string(big.Data), "}") + `,"text":"` + strings.Repeat("x", 200_000) + `"}`)
		for range 4 {
			receipts = append(receipts, l.send(big))
		}
		running(t, s, l, Options{BatchChanges: 100, BatchBytes: 500_000, Appliers: 1, Linger: time.Second})
		for _, r := range receipts {
			require.True(t, r.wait())
		}
		require.Empty(t, l.deadLetters())
		for _, changes := range s.attempts() {
			bigs := 0
			for _, c := range changes {
				if c.Resource.ID == "big" {
					bigs++
				}
			}
			require.LessOrEqual(t, bigs, 2)
			if len(changes) > 100 {
				require.Len(t, changes, 300, "only a message that is too big by itself may exceed the bound")
			}
		}
	})
}
