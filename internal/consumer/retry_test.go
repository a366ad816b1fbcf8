package consumer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/envelope"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

func TestOnlyWhatFailedIsTriedAgainAndTheRestDoesNotWaitForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failures atomic.Int32
		failures.Store(6)
		s := each(func(c ownership.Change) ownership.Outcome {
			if c.Resource.ID == "bad" && failures.Add(-1) >= 0 {
				return down(c)
			}
			return applied(c)
		})
		l := newLine()
		good, bad := l.send(created("t_a", "good")), l.send(created("t_a", "bad"))
		moved := l.send(message(string(events.TenantMovedType),
			`{"from_tenant_id":"t_a","to_tenant_id":"t_b","resources":[{"kind":"thread","id":"x"},{"kind":"thread","id":"y"}]}`))
		partly := l.send(message(string(events.TenantMovedType),
			`{"from_tenant_id":"t_a","to_tenant_id":"t_b","resources":[{"kind":"thread","id":"z"},{"kind":"thread","id":"bad"}]}`))
		started := time.Now()
		running(t, s, l, Options{})

		require.True(t, good.wait())
		require.True(t, moved.wait())
		require.Less(t, time.Since(started), 20*time.Millisecond)
		require.True(t, bad.wait())
		require.True(t, partly.wait())
		require.Greater(t, bad.at.Sub(started), 50*time.Millisecond, "no backoff")

		tried := map[string]int{}
		for _, changes := range s.attempts() {
			for _, c := range changes {
				tried[c.Resource.ID]++
			}
		}
		require.Equal(t, map[string]int{"good": 1, "bad": 8, "x": 1, "y": 1, "z": 1}, tried)
	})
}

func TestAMessageIsNackedWhenTheRetryBudgetIsUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := each(down)
		l := newLine()
		running(t, s, l, Options{RetryBudget: 10 * time.Second})
		started := time.Now()
		require.False(t, l.send(created("t_a", "th_1")).wait())
		took := time.Since(started)
		require.LessOrEqual(t, took, 10*time.Second)
		require.Greater(t, took, 5*time.Second)
		attempts := len(s.attempts())
		require.Greater(t, attempts, 4, "no retries")
		require.Less(t, attempts, 30, "no backoff")
		require.Empty(t, l.deadLetters(), "an outage must never dead-letter good events")
	})
}

func TestWhatTheStoreDoesNotUnderstandIsNackedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := each(func(c ownership.Change) ownership.Outcome {
			if c.Resource.ID == "th_new" {
				return ownership.Outcome{Kind: ownership.Failed, Err: ownership.TooNew("thread__th_new", errors.New("its format is 9"))}
			}
			return ownership.Outcome{Kind: ownership.Applied}
		})
		l := newLine()
		running(t, s, l, Options{RetryBudget: 10 * time.Second})
		started := time.Now()
		tooNew, other := l.send(created("t_a", "th_new")), l.send(created("t_a", "th_1"))
		require.False(t, tooNew.wait(), "another worker may understand it")
		require.True(t, other.wait())
		require.Less(t, time.Since(started), time.Second)
		require.Empty(t, l.deadLetters())
	})
}

func TestEachAttemptHasADeadlineOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{apply: func(ctx context.Context, changes []ownership.Change) []ownership.Outcome {
			<-ctx.Done() // a store that hangs
			return []ownership.Outcome{{Kind: ownership.Failed, Err: fmt.Errorf("%w: %w", registry.ErrUnavailable, ctx.Err())}}
		}}
		l := newLine()
		running(t, s, l, Options{CommitTimeout: 4 * time.Second, RetryBudget: 10 * time.Second})
		started := time.Now()
		require.False(t, l.send(created("t_a", "th_1")).wait())
		require.LessOrEqual(t, time.Since(started), 14*time.Second)
		require.GreaterOrEqual(t, len(s.attempts()), 2)
	})
}

func TestABatchThatFailsDoesNotHoldUpOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := each(func(c ownership.Change) ownership.Outcome {
			if strings.HasPrefix(c.Resource.ID, "bad") {
				return down(c)
			}
			return applied(c)
		})
		l := newLine()
		running(t, s, l, Options{Appliers: 1, BatchChanges: 1})
		bad := []*receipt{l.send(created("t_a", "bad1")), l.send(created("t_a", "bad2"))}
		synctest.Wait()
		started := time.Now()
		require.True(t, l.send(created("t_a", "good")).wait())
		require.Less(t, time.Since(started), 10*time.Millisecond)
		for _, r := range bad {
			require.False(t, r.wait())
		}
	})
}

func TestAPanicRefusesOnlyTheMessageThatCausedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := each(func(c ownership.Change) ownership.Outcome {
			if c.Resource.ID == "culprit" {
				panic("index out of range")
			}
			return applied(c)
		})
		l := newLine()
		var receipts []*receipt
		for i := range 20 {
			receipts = append(receipts, l.send(created("t_a", fmt.Sprintf("th_%d", i))))
		}
		receipts = append(receipts, l.send(created("t_a", "culprit")))
		c, err := New(s, l, Options{})
		require.NoError(t, err)
		decode := c.decode
		c.decode = func(r envelope.Rules, a map[string]string, data []byte) (events.Event, error) {
			if string(data) == "boom" {
				panic("nil map")
			}
			return decode(r, a, data)
		}
		receipts = append(receipts, l.send(Message{Data: []byte("boom")}))
		run(t, c)
		for _, r := range receipts {
			require.True(t, r.wait())
		}
		letters := l.deadLetters()
		require.Len(t, letters, 2)
		details := []string{letters[0].Attributes[DetailAttribute], letters[1].Attributes[DetailAttribute]}
		require.ElementsMatch(t, []string{"index out of range", "nil map"}, details)
		for _, letter := range letters {
			require.Equal(t, string(events.Panic), letter.Attributes[ReasonAttribute])
		}
	})
}
