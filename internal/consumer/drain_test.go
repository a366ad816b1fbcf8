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
)

func TestTheDrainSettlesWhatWasAdmittedAndCancelsNoCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{apply: func(ctx context.Context, changes []ownership.Change) []ownership.Outcome {
			time.Sleep(3 * time.Second)
			if ctx.Err() != nil {
				panic("the commit was cancelled")
			}
			return each(applied).apply(ctx, changes)
		}}
		l := newLine()
		c, stop := running(t, s, l, Options{})
		r := l.send(created("t_a", "th_1"))
		synctest.Wait()
		started := time.Now()
		require.NoError(t, stop())
		require.True(t, r.wait())
		require.Equal(t, 3*time.Second, time.Since(started))
		require.Empty(t, l.deadLetters())
		require.EqualError(t, c.Ready(), "draining")
	})
}

func TestWhatADrainCannotSettleInTimeIsNackedAndNeverDeadLettered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		var cancelled atomic.Bool
		s := &store{apply: func(ctx context.Context, changes []ownership.Change) []ownership.Outcome {
			<-hang
			cancelled.Store(cancelled.Load() || ctx.Err() != nil)
			return each(applied).apply(ctx, changes)
		}}
		l := newLine()
		l.bury = func(ctx context.Context, _ DeadLetter) error { <-ctx.Done(); return ctx.Err() }
		_, stop := running(t, s, l, Options{
			DrainTimeout: 20 * time.Second, DeadLetterTimeout: time.Hour, CommitTimeout: time.Hour,
			Appliers: 2, BatchChanges: 2, MaxOutstandingMessages: 12,
		})
		var receipts []*receipt
		for i := range 20 { // applying, in a batch, queued, and waiting for admission
			receipts = append(receipts, l.send(created("t_a", fmt.Sprintf("th_%d", i))))
			synctest.Wait()
		}
		receipts = append(receipts, l.send(Message{Data: []byte("?")})) // waiting for admission, too
		synctest.Wait()

		started := time.Now()
		require.NoError(t, stop())
		require.LessOrEqual(t, time.Since(started), 20*time.Second+killGrace)
		for _, r := range receipts {
			require.False(t, r.wait())
		}
		require.Empty(t, l.deadLetters())
		close(hang)
		synctest.Wait()
		require.False(t, cancelled.Load(), "a commit in flight was cancelled")
	})
}

func TestADeadLetterInFlightAtTheEndOfADrainIsNacked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		l.bury = func(ctx context.Context, _ DeadLetter) error { <-ctx.Done(); return ctx.Err() }
		_, stop := running(t, each(applied), l, Options{DrainTimeout: 2 * time.Second, DeadLetterTimeout: time.Hour})
		r := l.send(Message{Data: []byte("?")})
		synctest.Wait()
		started := time.Now()
		require.NoError(t, stop())
		require.False(t, r.wait())
		require.Equal(t, 2*time.Second, r.at.Sub(started))
	})
}

func TestTheEndOfADrainWaitsALittleForCommitsWhoseMessagesWereNacked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := each(func(c ownership.Change) ownership.Outcome {
			time.Sleep(22 * time.Second)
			return applied(c)
		})
		l := newLine()
		_, stop := running(t, s, l, Options{DrainTimeout: 20 * time.Second, CommitTimeout: time.Minute})
		r := l.send(created("t_a", "th_1"))
		synctest.Wait()
		started := time.Now()
		require.NoError(t, stop())
		require.False(t, r.wait())
		require.Equal(t, 22*time.Second, time.Since(started), "the end of the process would have cut the commit off")
	})
}

func TestRetriesEndWithTheDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		_, stop := running(t, each(down), l, Options{RetryBudget: time.Hour, DrainTimeout: 5 * time.Second})
		r := l.send(created("t_a", "th_1"))
		time.Sleep(time.Minute)
		started := time.Now()
		require.NoError(t, stop())
		require.False(t, r.wait())
		require.Equal(t, 5*time.Second, time.Since(started))
	})
}
