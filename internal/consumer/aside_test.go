package consumer

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// refusedMessage can never succeed.
func refusedMessage(i int) Message {
	m := created("t_a", fmt.Sprint("refused-", i))
	m.Data = []byte(`{"tenant_id":1}`)
	return m
}

func TestASlowDeadLetterTopicHoldsUpNothingButTheRefused(t *testing.T) {
	for name, bury := range map[string]func(context.Context, DeadLetter) error{
		"that hangs": func(ctx context.Context, _ DeadLetter) error { <-ctx.Done(); return ctx.Err() },
		"that takes ten seconds": func(context.Context, DeadLetter) error {
			time.Sleep(10 * time.Second)
			return nil
		},
		"that fails": func(context.Context, DeadLetter) error { return errors.New("no such topic") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLine()
				l.bury = bury
				const outstanding = 100
				_, stop := running(t, each(applied), l, Options{MaxOutstandingMessages: outstanding})
				var good []*receipt
				began := time.Now()
				for i := range 10 * outstanding {
					l.send(refusedMessage(i))
					good = append(good, l.send(created("t_a", fmt.Sprint("good-", i))))
				}
				for _, r := range good {
					require.True(t, r.wait())
				}
				require.Less(t, time.Since(began), time.Second)
				require.NoError(t, stop())
			})
		})
	}
}

func TestARefusedMessageForWhichThereIsNoRoomIsDeliveredAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		l.bury = func(context.Context, DeadLetter) error {
			time.Sleep(10 * time.Second)
			return nil
		}
		_, stop := running(t, each(applied), l, Options{MaxOutstandingMessages: 10})
		var all []*receipt
		for i := range 10 {
			all = append(all, l.send(refusedMessage(i)))
		}
		acked := 0
		for _, r := range all {
			if r.wait() {
				acked++
			}
		}
		require.Equal(t, 5, acked, "half of what may be outstanding waits for the topic")
		require.Len(t, l.deadLetters(), acked, "the others are nacked, and none is lost")
		require.NoError(t, stop())
	})
}

// Otherwise what waits for room would take all places that Pub/Sub sends.
func TestWhileTheTopicMakesNoRoomARefusedMessageIsNackedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		l.bury = func(context.Context, DeadLetter) error {
			time.Sleep(10 * time.Second)
			return nil
		}
		_, stop := running(t, each(applied), l, Options{MaxOutstandingMessages: 2})
		first := l.send(refusedMessage(0)) // which has all the room
		synctest.Wait()
		took := func() time.Duration {
			began := time.Now()
			require.False(t, l.send(refusedMessage(1)).wait())
			return time.Since(began)
		}
		require.Equal(t, time.Second, took())
		require.Zero(t, took())
		require.True(t, first.wait())
		second := l.send(refusedMessage(2))
		synctest.Wait()
		require.Equal(t, time.Second, took(), "the topic has confirmed one")
		require.True(t, second.wait())
		require.NoError(t, stop())
	})
}

// The end of a drain does not wait for the topic, nor for room.
func TestADrainNacksWhatWaitsForTheDeadLetterTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		l.bury = func(ctx context.Context, _ DeadLetter) error { <-ctx.Done(); return ctx.Err() }
		_, stop := running(t, each(applied), l, Options{MaxOutstandingMessages: 10, DrainTimeout: 100 * time.Millisecond})
		var all []*receipt
		for i := range 10 {
			all = append(all, l.send(refusedMessage(i)))
		}
		synctest.Wait()
		began := time.Now()
		require.NoError(t, stop())
		require.Less(t, time.Since(began), time.Second)
		for _, r := range all {
			require.False(t, r.wait())
		}
	})
}
