package rules_test

import (
	"context"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"
)

func TestAStreamHasNoMoreMessagesOutstandingThanItAskedFor(t *testing.T) {
	t.Parallel()
	inside := openBus(t)
	inside.lease = 60 // room that comes free by time is another test's
	inside.publish(1000, 1)
	for _, b := range []*bus{inside, inside.outside()} {
		s := b.stream(10, 0)
		first := s.take(t, 10)
		b.ack(first[:4]...)
		second := s.take(t, 4)
		require.NoError(t, s.Send(&pubsubpb.StreamingPullRequest{AckIds: second[:2]}))
		s.take(t, 2)
		require.NoError(t, b.client.SubscriptionAdminClient.ModifyAckDeadline(t.Context(), &pubsubpb.ModifyAckDeadlineRequest{
			Subscription: b.subscription, AckIds: first[4:7],
		}))
		s.take(t, 3)
		s.end()
	}
}

func TestAStreamStopsAtTheBytesThatItAskedFor(t *testing.T) {
	t.Parallel()
	b := openBus(t)
	b.lease = 60
	b.publish(100, 1000)
	s := b.stream(0, 2500)
	first := s.take(t, 3)
	b.ack(first[0])
	s.take(t, 1)
}

func TestRoomComesFreeWhenADeadlineIsOver(t *testing.T) {
	t.Parallel()
	b := openBus(t)
	b.publish(30, 1)
	begin := time.Now() // before any lease
	s := b.stream(10, 0)
	s.take(t, 10)
	select {
	case <-s.messages:
		require.GreaterOrEqual(t, time.Since(begin), ackDeadline*time.Second)
	case <-time.After(time.Minute):
		t.Fatal("no room within a minute")
	}
}

func TestWhatOneStreamHasNoRoomForAnotherGets(t *testing.T) {
	t.Parallel()
	b := openBus(t)
	b.lease = 60
	b.publish(100, 1)
	small := b.stream(10, 0)
	small.take(t, 10)
	large := b.stream(0, 0)
	large.take(t, 90)
}

func TestWhatIsHeldBackGoesBackAtOnceWithTheLastStream(t *testing.T) {
	t.Parallel()
	b := openBus(t)
	b.lease = 60 // far longer than a busy machine takes
	b.publish(100, 1)
	s := b.stream(10, 0)
	s.take(t, 10)
	s.end()
	got := 0
	begin := time.Now()
	for emulator := b.past(); got < 90; {
		got += len(emulator.pull(time.Minute))
	}
	require.Less(t, time.Since(begin), time.Duration(b.lease)*time.Second, "without waiting for leases")
}

// The emulator would keep for their lease, were the stream broken off, what it has
// under way and what it goes on sending: hundreds.
func TestNothingIsOutOfSightBehindAStreamThatEndsWhileMuchIsUnderWay(t *testing.T) {
	t.Parallel()
	const all, most = 3000, 100
	for _, from := range []func(*bus) *bus{func(b *bus) *bus { return b }, (*bus).outside} {
		b := openBus(t)
		b.lease = 60
		b.publish(all, 1)
		s := from(b).stream(most, 0)
		<-s.messages
		s.end()
		begin, got := time.Now(), map[string]bool{}
		for emulator := b.past(); len(got) < all-most; {
			for _, m := range emulator.pull(time.Minute) {
				got[m.GetMessage().GetMessageId()] = true
			}
			require.Less(t, time.Since(begin), time.Duration(b.lease)*time.Second, "without waiting for leases")
		}
	}
}

func TestAPingIsAnsweredWhereTheClientKnowsOfPings(t *testing.T) {
	t.Parallel()
	const pings = 10
	inside := openBus(t)
	for _, b := range []*bus{inside, inside.outside()} {
		knows := b.streamOf(&pubsubpb.StreamingPullRequest{ProtocolVersion: 1})
		older := b.streamOf(&pubsubpb.StreamingPullRequest{})
		for range pings {
			require.NoError(t, knows.Send(&pubsubpb.StreamingPullRequest{}))
			require.NoError(t, older.Send(&pubsubpb.StreamingPullRequest{}))
		}
		require.Eventually(t, func() bool { return knows.empty.Load() >= pings }, time.Minute, 10*time.Millisecond)
		require.LessOrEqual(t, older.empty.Load(), int64(1), "the emulator's own at its beginning")
		knows.end()
		b.publish(1, 1)
		b.ack(older.take(t, 1)...)
		older.end()
	}
}

func TestAnAcknowledgementAfterTheDeadlineIsVoid(t *testing.T) {
	t.Parallel()
	b := openBus(t)
	b.publish(1, 1)
	first := b.pull(time.Minute)
	require.Len(t, first, 1)
	time.Sleep(ackDeadline*time.Second + 200*time.Millisecond) // what is tested is that time passes
	b.ack(first[0].GetAckId())
	again := b.pull(time.Minute)
	require.Len(t, again, 1, "it comes again")
	b.ack(again[0].GetAckId())
	require.Empty(t, b.pull(2*time.Second), "in time it counts")
}

func TestOneConnectionCarriesAHundredCallsAtOnce(t *testing.T) {
	t.Parallel()
	inside := openBus(t)
	for _, b := range []*bus{inside, inside.outside()} {
		var streams []*stream
		for range 100 {
			streams = append(streams, b.stream(1, 0))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		err := b.client.SubscriptionAdminClient.Acknowledge(ctx, &pubsubpb.AcknowledgeRequest{Subscription: b.subscription, AckIds: []string{"x"}})
		cancel()
		require.ErrorContains(t, err, "context deadline exceeded")
		streams[0].end()
		_, err = b.client.SubscriptionAdminClient.GetSubscription(t.Context(), &pubsubpb.GetSubscriptionRequest{Subscription: b.subscription})
		require.NoError(t, err, "one has ended")
		for _, s := range streams {
			s.end()
		}
	}
}

func TestASubscriptionStaysWithItsDeletedTopic(t *testing.T) {
	t.Parallel()
	b := openBus(t)
	topicOf := func() string {
		s, err := b.client.SubscriptionAdminClient.GetSubscription(t.Context(), &pubsubpb.GetSubscriptionRequest{Subscription: b.subscription})
		require.NoError(t, err)
		return s.GetTopic()
	}
	require.NoError(t, b.client.TopicAdminClient.DeleteTopic(t.Context(), &pubsubpb.DeleteTopicRequest{Topic: b.topic}))
	require.Equal(t, "_deleted-topic_", topicOf())
	b.createTopic()
	require.Equal(t, "_deleted-topic_", topicOf())
	b.publish(1, 1)
	require.Empty(t, b.pull(2*time.Second), "it gets nothing of the new one")
}
