package dev

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/consumer"
)

// receive settles every delivery as said, and counts deliveries by message id.
func receive(ctx context.Context, transport consumer.Transport, settle func(m consumer.Message, delivery int)) (ended chan error) {
	ended = make(chan error, 1)
	deliveries := map[string]int{}
	go func() {
		ended <- transport.Receive(ctx, consumer.Limits{}, func(_ context.Context, m consumer.Message) {
			deliveries[m.ID]++
			settle(m, deliveries[m.ID])
		})
	}()
	return ended
}

func TestANackIsDeliveredAgainAndOnlyAnAckEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		bus := NewBus()
		watch := NewWatch(bus)
		last := 0
		ended := receive(ctx, watch, func(m consumer.Message, delivery int) {
			last = delivery
			if delivery < 3 {
				m.Settler.Nack()
			} else {
				m.Settler.Ack()
			}
		})
		id, err := bus.Publish(ctx, Message{Topic: "topic"})
		require.NoError(t, err)

		short, cancel := context.WithTimeout(ctx, redeliverAfter+time.Millisecond)
		defer cancel()
		require.ErrorIs(t, watch.Await(short, id), context.DeadlineExceeded)
		require.NoError(t, watch.Await(ctx, id))
		require.Equal(t, 3, last)
		stop()
		require.NoError(t, <-ended)
	})
}

func TestReceiveEndsWhenWhatWasDeliveredIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		bus := NewBus()
		held := make(chan consumer.Settler, 1)
		ended := receive(ctx, bus, func(m consumer.Message, _ int) { held <- m.Settler })
		_, err := bus.Publish(ctx, Message{})
		require.NoError(t, err)
		settler := <-held
		stop()
		synctest.Wait()
		require.Empty(t, ended)
		settler.Nack()
		require.NoError(t, <-ended)
	})
}

func TestAWatchForgets(t *testing.T) {
	watch := NewWatch(NewBus())
	require.NoError(t, watch.DeadLetter(t.Context(), consumer.DeadLetter{}))
	require.Len(t, watch.DeadLetters(), 1)
	watch.Forget()
	require.NoError(t, watch.DeadLetter(t.Context(), consumer.DeadLetter{}))
	watch.ack("1")
	require.Empty(t, watch.DeadLetters())
	require.Empty(t, watch.acked)
}

func TestPublishingWaitsForNoLongerThanItsContext(t *testing.T) {
	bus := NewBus()
	for range busCapacity {
		_, err := bus.Publish(t.Context(), Message{})
		require.NoError(t, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := bus.Publish(ctx, Message{})
	require.ErrorIs(t, err, context.Canceled)
}
