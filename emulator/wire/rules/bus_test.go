package rules_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// bus is a topic and a subscription whose messages are due after ten seconds,
// the least that there is.
type bus struct {
	t                   *testing.T
	project             emulatortest.Project
	client              *pubsub.Client
	topic, subscription string
	lease               int32 // of its streams, in seconds
}

const ackDeadline = 10

func openBus(t *testing.T) *bus {
	t.Helper()
	p := emulatortest.PubSub(t)
	b := &bus{t: t, project: p, topic: "projects/" + p.ID + "/topics/events", subscription: "projects/" + p.ID + "/subscriptions/work", lease: ackDeadline}
	b.client = connectBus(t, p, p.PubSubOptions()...)
	b.createTopic()
	_, err := b.client.SubscriptionAdminClient.CreateSubscription(t.Context(), &pubsubpb.Subscription{
		Name: b.subscription, Topic: b.topic, AckDeadlineSeconds: ackDeadline,
	})
	require.NoError(t, err)
	return b
}

func connectBus(t *testing.T, p emulatortest.Project, options ...option.ClientOption) *pubsub.Client {
	t.Helper()
	client, err := pubsub.NewClient(t.Context(), p.ID, options...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// outside comes in as another process would.
func (b *bus) outside() *bus { b.t.Helper(); return b.at(b.project.PubSubHost) }

// past goes past the rules.
func (b *bus) past() *bus { b.t.Helper(); return b.at(b.project.PubSubRules.Target()) }

func (b *bus) at(host string) *bus {
	b.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+host, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(b.t, err)
	other := *b
	other.client = connectBus(b.t, b.project, option.WithGRPCConn(conn))
	return &other
}

func (b *bus) createTopic() {
	b.t.Helper()
	_, err := b.client.TopicAdminClient.CreateTopic(b.t.Context(), &pubsubpb.Topic{Name: b.topic})
	require.NoError(b.t, err)
}

func (b *bus) publish(n, size int) {
	b.t.Helper()
	for n > 0 {
		part := min(n, 1000)
		messages := make([]*pubsubpb.PubsubMessage, part)
		for i := range messages {
			messages[i] = &pubsubpb.PubsubMessage{Data: []byte(strings.Repeat("x", size))}
		}
		_, err := b.client.TopicAdminClient.Publish(b.t.Context(), &pubsubpb.PublishRequest{Topic: b.topic, Messages: messages})
		require.NoError(b.t, err)
		n -= part
	}
}

func (b *bus) pull(within time.Duration) []*pubsubpb.ReceivedMessage {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), within)
	defer cancel()
	r, err := b.client.SubscriptionAdminClient.Pull(ctx, &pubsubpb.PullRequest{Subscription: b.subscription, MaxMessages: 100})
	if ctx.Err() != nil {
		return nil
	}
	require.NoError(b.t, err)
	return r.GetReceivedMessages()
}

func (b *bus) ack(ids ...string) {
	b.t.Helper()
	require.NoError(b.t, b.client.SubscriptionAdminClient.Acknowledge(b.t.Context(), &pubsubpb.AcknowledgeRequest{Subscription: b.subscription, AckIds: ids}))
}

// stream is a StreamingPull whose messages are collected.
type stream struct {
	pubsubpb.Subscriber_StreamingPullClient
	end      context.CancelFunc
	messages chan *pubsubpb.ReceivedMessage
	empty    atomic.Int64 // responses without messages
}

func (b *bus) stream(mostMessages, mostBytes int64) *stream {
	b.t.Helper()
	return b.streamOf(&pubsubpb.StreamingPullRequest{MaxOutstandingMessages: mostMessages, MaxOutstandingBytes: mostBytes})
}

// streamOf begins with what the request says beside subscription and deadline.
func (b *bus) streamOf(first *pubsubpb.StreamingPullRequest) *stream {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	b.t.Cleanup(cancel)
	pull, err := b.client.SubscriptionAdminClient.StreamingPull(ctx)
	require.NoError(b.t, err)
	first.Subscription, first.StreamAckDeadlineSeconds = b.subscription, b.lease
	require.NoError(b.t, pull.Send(first))
	s := &stream{Subscriber_StreamingPullClient: pull, end: cancel, messages: make(chan *pubsubpb.ReceivedMessage, 10_000)}
	go func() {
		for {
			r, err := pull.Recv()
			if err != nil {
				return
			}
			if len(r.GetReceivedMessages()) == 0 {
				s.empty.Add(1)
			}
			for _, m := range r.GetReceivedMessages() {
				s.messages <- m
			}
		}
	}()
	return s
}

// take waits for n messages and for no more of them.
func (s *stream) take(t *testing.T, n int) (ids []string) {
	t.Helper()
	const quiet = 300 * time.Millisecond
	for {
		wait := quiet
		if len(ids) < n {
			wait = time.Minute
		}
		select {
		case m := <-s.messages:
			ids = append(ids, m.GetAckId())
			require.LessOrEqual(t, len(ids), n, "more than there is room for")
		case <-time.After(wait):
			require.Len(t, ids, n)
			return ids
		}
	}
}
