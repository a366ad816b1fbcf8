package consumer_test

import (
	"context"
	"fmt"
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

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	admin "github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

func TestEventsPublishedEndAsOwnerships(t *testing.T) {
	client := provisioned(t)
	store := memregistry.New()
	start(t, client, store, consumer.Options{})
	var all []events.Event
	for i := range 1000 {
		all = append(all, thread(i))
	}
	now := time.Now().UTC()
	all = append(all,
		events.Event{ID: "c1", Source: "//nexus/test", Time: now, Data: events.CanvasCreated{TenantID: "t_c", CanvasID: "cv_1"}},
		events.Event{ID: "m1", Source: "//nexus/test", Time: now, Data: events.TenantMoved{
			FromTenantID: "t_a", ToTenantID: "t_b", Resources: []events.ResourceRef{{Kind: "thread", ID: "th_0"}, {Kind: "thread", ID: "th_1"}},
		}},
		events.Event{ID: "m2", Source: "//nexus/test", Time: now.Add(time.Second), Data: events.TenantMoved{FromTenantID: "t_c", ToTenantID: "t_d"}})
	publish(t, client, all...)
	publish(t, client, all...) // every event twice

	want := map[string]int{"t_a": 998, "t_b": 2, "t_d": 1}
	require.Eventually(t, func() bool { return fmt.Sprint(owners(t, store)) == fmt.Sprint(want) }, patience, 10*time.Millisecond)
	require.Empty(t, letters(t, client))
}

func TestWhatCanNeverSucceedWaitsAsADeadLetterAndIsNotDeliveredAgain(t *testing.T) {
	client := provisioned(t)
	store := memregistry.New()
	c, _ := start(t, client, store, consumer.Options{})
	publish(t, client, thread(1))
	stolen := thread(1)
	stolen.ID, stolen.Time = "theft", stolen.Time.Add(time.Minute)
	stolen.Data = events.ThreadCreated{TenantID: "t_thief", ThreadID: "th_1"}
	require.Eventually(t, func() bool { return owners(t, store)["t_a"] == 1 }, patience, 10*time.Millisecond)
	publish(t, client, stolen)
	raw(t, client, "nexus-thread-created", &pubsub.Message{Data: []byte("?"), Attributes: map[string]string{"n": "1"}})
	huge := strings.Repeat("x", 9_900_000)
	raw(t, client, "nexus-thread-created", &pubsub.Message{Data: []byte(huge), Attributes: map[string]string{"ce-specversion": "1.0"}})

	var all []admin.DeadLetter
	require.Eventually(t, func() bool { all = letters(t, client); return len(all) == 3 }, patience, 10*time.Millisecond)
	reasons := map[events.Reason]admin.DeadLetter{}
	for _, l := range all {
		require.Equal(t, threads, l.Subscription)
		require.NotEmpty(t, l.Detail)
		require.NotEmpty(t, l.MessageID)
		reasons[l.Reason] = l
	}
	require.Contains(t, reasons, events.Conflict)
	require.Contains(t, reasons, events.TooLarge)
	require.Len(t, reasons[events.TooLarge].Data, len(huge))
	require.Equal(t, map[string]string{"n": "1"}, reasons[events.Malformed].Attributes)
	require.Equal(t, map[string]int{"t_a": 1}, owners(t, store))
	require.NoError(t, c.Ready())

	pull, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	left, err := client.SubscriptionAdminClient.Pull(pull, &pubsubpb.PullRequest{
		Subscription: client.Subscriber(threads).String(), MaxMessages: 10,
	})
	if err == nil {
		require.Empty(t, left.ReceivedMessages, "a refused message was not acked")
	}
}

// flaky is a store that is down for a while.
type flaky struct {
	ownership.Store
	down    atomic.Bool
	refused atomic.Int64
}

func (s *flaky) Apply(ctx context.Context, changes []ownership.Change) []ownership.Outcome {
	if !s.down.Load() {
		return s.Store.Apply(ctx, changes)
	}
	outcomes := make([]ownership.Outcome, len(changes))
	for i := range outcomes {
		s.refused.Add(1)
		outcomes[i] = ownership.Outcome{Kind: ownership.Failed, Err: fmt.Errorf("commit: %w", registry.ErrUnavailable)}
	}
	return outcomes
}

func TestAnOutageOfTheStoreLosesAndDeadLettersNothing(t *testing.T) {
	client := provisioned(t)
	store := &flaky{Store: memregistry.New()}
	store.down.Store(true)
	c, _ := start(t, client, store, consumer.Options{RetryBudget: 200 * time.Millisecond, ReadyTimeout: time.Second})
	var all []events.Event
	for i := range 200 {
		all = append(all, thread(i))
	}
	publish(t, client, all...)
	require.Eventually(t, func() bool { return store.refused.Load() > 1000 && c.Ready() != nil }, patience, 10*time.Millisecond)
	store.down.Store(false)
	require.Eventually(t, func() bool { return owners(t, store)["t_a"] == 200 }, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool { return c.Ready() == nil }, patience, 10*time.Millisecond)
	require.Empty(t, letters(t, client))
}

// slow is a store that takes its time.
type slow struct {
	ownership.Store
	applied atomic.Int64
}

func (s *slow) Apply(ctx context.Context, changes []ownership.Change) []ownership.Outcome {
	time.Sleep(20 * time.Millisecond)
	if ctx.Err() != nil {
		panic("a commit was cancelled")
	}
	s.applied.Add(int64(len(changes)))
	return s.Store.Apply(ctx, changes)
}

func TestAStopInTheMiddleLosesAndDeadLettersNothing(t *testing.T) {
	client := provisioned(t)
	store := &slow{Store: memregistry.New()}
	const n = 5000
	var all []events.Event
	for i := range n {
		all = append(all, thread(i))
	}
	publish(t, client, all...)
	opts := consumer.Options{BatchChanges: 50, Appliers: 2, MaxOutstandingMessages: 500}
	_, stop := start(t, client, store, opts)
	require.Eventually(t, func() bool { return store.applied.Load() > 300 }, patience, time.Millisecond)
	require.NoError(t, stop())
	done := owners(t, store)["t_a"]
	require.Less(t, done, n, "it stopped too late to prove anything")
	t.Logf("stopped after %d of %d", done, n)

	start(t, client, store, opts)
	require.Eventually(t, func() bool { return owners(t, store)["t_a"] == n }, patience, 10*time.Millisecond)
	require.Less(t, store.applied.Load(), int64(n+n/2), "what was acked came back")
	require.Empty(t, letters(t, client))
}

func TestWhatIsMissingIsNamedAtTheStart(t *testing.T) {
	client := provisioned(t)
	for name, opts := range map[string]consumer.PubSubOptions{
		"subscription subscriptions/missing.one": {Subscriptions: []string{threads, "missing.one"}, DeadLetterTopic: deadLetters},
		"dead-letter topics/gone":                {Subscriptions: []string{threads}, DeadLetterTopic: "gone"},
	} {
		transport, err := consumer.NewPubSub(client, opts)
		require.NoError(t, err)
		c, err := consumer.New(memregistry.New(), transport, consumer.Options{})
		require.NoError(t, err)
		err = c.Run(t.Context())
		what, id, _ := strings.Cut(name, " ")
		require.ErrorContains(t, err, what)
		require.ErrorContains(t, err, id+" does not exist")
		transport.Close()
	}
}

func TestAPubSubThatDoesNotAnswerIsAnErrorInTime(t *testing.T) {
	client, err := pubsub.NewClient(t.Context(), "nobody", option.WithEndpoint("127.0.0.1:1"),
		option.WithoutAuthentication(), option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())))
	require.NoError(t, err)
	defer client.Close()
	transport, err := consumer.NewPubSub(client, consumer.PubSubOptions{Subscriptions: []string{threads}, DeadLetterTopic: deadLetters})
	require.NoError(t, err)
	defer transport.Close()
	c, err := consumer.New(memregistry.New(), transport, consumer.Options{StartTimeout: time.Second})
	require.NoError(t, err)
	started := time.Now()
	err = c.Run(t.Context())
	require.ErrorContains(t, err, threads+": pub/sub does not answer")
	require.Less(t, time.Since(started), 10*time.Second)
}

func TestASubscriptionThatVanishesEndsTheWorker(t *testing.T) {
	client := provisioned(t)
	transport, err := consumer.NewPubSub(client, consumer.PubSubOptions{Subscriptions: subscriptions, DeadLetterTopic: deadLetters, Streams: 2})
	require.NoError(t, err)
	defer transport.Close()
	c, err := consumer.New(memregistry.New(), transport, consumer.Options{})
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- c.Run(t.Context()) }()
	require.Eventually(t, func() bool { return c.Ready() == nil }, patience, 10*time.Millisecond)
	require.NoError(t, client.SubscriptionAdminClient.DeleteSubscription(t.Context(),
		&pubsubpb.DeleteSubscriptionRequest{Subscription: client.Subscriber(moves).String()}))
	select {
	case err := <-ended:
		require.ErrorContains(t, err, "receive: subscription "+moves)
	case <-time.After(patience):
		t.Fatal("a zombie")
	}
}

func TestAllFaultsOfTheTransportsOptionsAreReportedAtOnce(t *testing.T) {
	_, err := consumer.NewPubSub(nil, consumer.PubSubOptions{Subscriptions: []string{"a", "a", ""}, Streams: -1, Lease: 1})
	for _, fault := range []string{"a is given twice", "has no name", "no dead-letter topic", "streams must not be negative", "lease must be"} {
		require.ErrorContains(t, err, fault)
	}
}
