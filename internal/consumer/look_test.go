package consumer_test

import (
	"log/slog"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
	admin "github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

// looking is a worker that looks often.
type looking struct {
	*consumer.Consumer
	client  *pubsub.Client
	log     *lines
	metrics metrics
}

func newLooking(t *testing.T) looking {
	t.Helper()
	l := looking{client: provisioned(t), log: &lines{}, metrics: newMetrics(t)}
	l.Consumer = work(t, l.client, consumer.PubSubOptions{
		Subscriptions: subscriptions, DeadLetterTopic: deadLetters, Streams: 1, Lease: 10 * time.Second,
		LookInterval: 50 * time.Millisecond, MeterProvider: l.metrics.provider, Logger: slog.New(slog.NewTextHandler(l.log, nil)),
	})
	require.Eventually(t, func() bool { return l.Ready() == nil }, patience, 10*time.Millisecond)
	return l
}

// requireFault requires that readiness, log and metric say it.
func (l looking) requireFault(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return l.Ready() != nil }, patience, 10*time.Millisecond)
	require.ErrorContains(t, l.Ready(), text)
	require.EqualValues(t, 1, l.metrics.read()["registry.pubsub.faults"])
	time.Sleep(200 * time.Millisecond) // several looks, of which one is told
	require.Equal(t, 1, l.log.count("what the worker relies on is not as it must be"), l.log)
}

func TestATopicThatIsDeletedAndMadeAgainIsFoundWhileTheWorkerRuns(t *testing.T) {
	l := newLooking(t)
	topic := l.client.Publisher("nexus-thread-created").String()
	require.NoError(t, l.client.TopicAdminClient.DeleteTopic(t.Context(), &pubsubpb.DeleteTopicRequest{Topic: topic}))
	_, err := l.client.TopicAdminClient.CreateTopic(t.Context(), &pubsubpb.Topic{Name: topic})
	require.NoError(t, err)
	l.requireFault(t, threads+" is not as it must be: its topic was deleted")
}

func TestDeadLettersThatNobodyKeepsAreFoundWhileTheWorkerRuns(t *testing.T) {
	l := newLooking(t)
	kept := l.client.Subscriber(deadLetters).String()
	require.NoError(t, l.client.SubscriptionAdminClient.DeleteSubscription(t.Context(), &pubsubpb.DeleteSubscriptionRequest{Subscription: kept}))
	l.requireFault(t, "so that what is refused would be lost: `registry-worker provision` creates it")

	_, err := admin.Provision(t.Context(), l.client, admin.ProvisionOptions{Subscriptions: subscriptions, DeadLetterTopic: deadLetters})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return l.Ready() == nil }, patience, 10*time.Millisecond)
	require.Equal(t, 1, l.log.count("is as it must be again"), l.log)
	require.Zero(t, l.metrics.read()["registry.pubsub.faults"])
}

// requireNoStart requires that a worker does not start, and says why.
func requireNoStart(t *testing.T, client *pubsub.Client, texts ...string) {
	t.Helper()
	transport, err := consumer.NewPubSub(client, consumer.PubSubOptions{Subscriptions: subscriptions, DeadLetterTopic: deadLetters})
	require.NoError(t, err)
	defer transport.Close()
	c, err := consumer.New(memregistry.New(), transport, consumer.Options{})
	require.NoError(t, err)
	err = c.Run(t.Context())
	for _, text := range texts {
		require.ErrorContains(t, err, text)
	}
}

func TestAWorkerThatWouldLoseEventsDoesNotStart(t *testing.T) {
	client := provisioned(t)
	remake := func(name string, change func(*pubsubpb.Subscription)) {
		s := &pubsubpb.Subscription{Name: client.Subscriber(name).String(), Topic: client.Publisher("nexus-thread-created").String()}
		require.NoError(t, client.SubscriptionAdminClient.DeleteSubscription(t.Context(), &pubsubpb.DeleteSubscriptionRequest{Subscription: s.Name}))
		change(s)
		_, err := client.SubscriptionAdminClient.CreateSubscription(t.Context(), s)
		require.NoError(t, err)
	}
	remake(threads, func(s *pubsubpb.Subscription) { s.Filter = `attributes:some` })
	remake(canvases, func(*pubsubpb.Subscription) {})
	remake(moves, func(s *pubsubpb.Subscription) {
		s.Topic = client.Publisher("nexus-tenant-moved").String()
		s.DeadLetterPolicy = &pubsubpb.DeadLetterPolicy{DeadLetterTopic: client.Publisher(deadLetters).String(), MaxDeliveryAttempts: 5}
	})
	kept := client.Subscriber(deadLetters).String()
	require.NoError(t, client.SubscriptionAdminClient.DeleteSubscription(t.Context(), &pubsubpb.DeleteSubscriptionRequest{Subscription: kept}))
	requireNoStart(t, client,
		threads+" is not as it must be: it has a filter (attributes:some)",
		canvases+" is not as it must be: it is a subscription of ",
		moves+" is not as it must be: it has a dead-letter policy",
		"subscription "+deadLetters+" of the dead-letter topic does not exist, so that what is refused would be lost")
}

func TestWhoMayNotLookIsWarnedOnceAndConsumes(t *testing.T) {
	project := emulatortest.PubSub(t)
	client, err := pubsub.NewClient(t.Context(), project.ID, project.PubSubOptions()...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	_, err = admin.Provision(t.Context(), client, admin.ProvisionOptions{Subscriptions: subscriptions, DeadLetterTopic: deadLetters})
	require.NoError(t, err)

	faults := wire.NewFaults()
	faults.Fail("GetSubscription", codes.PermissionDenied, 1<<20)
	log := &lines{}
	blind, err := pubsub.NewClient(t.Context(), project.ID, project.PubSubOptions(faults.DialOptions()...)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = blind.Close() })
	metrics := newMetrics(t)
	c := work(t, blind, consumer.PubSubOptions{
		Subscriptions: subscriptions, DeadLetterTopic: deadLetters, Streams: 1, Lease: 10 * time.Second,
		LookInterval: 50 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(log, nil)), MeterProvider: metrics.provider,
	})
	publish(t, client, thread(1))
	require.Eventually(t, func() bool { return metrics.read()["registry.events"] == 1 }, patience, 10*time.Millisecond)
	require.NoError(t, c.Ready())
	time.Sleep(200 * time.Millisecond) // several looks
	require.Equal(t, 4, log.count("not allowed to look"), log)
}
