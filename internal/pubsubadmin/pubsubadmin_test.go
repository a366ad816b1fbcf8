package pubsubadmin_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	admin "github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
)

const (
	threads     = "nexus-thread-created.realtime-registry"
	moves       = "nexus-tenant-moved.realtime-registry"
	deadLetters = "realtime-registry-dead-letters"
	idle        = 2 * time.Second
)

var options = admin.ProvisionOptions{Subscriptions: []string{threads, moves}, DeadLetterTopic: deadLetters}

func client(t *testing.T) *pubsub.Client {
	t.Helper()
	project := emulatortest.PubSub(t)
	client, err := pubsub.NewClient(t.Context(), project.ID, project.PubSubOptions()...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func provisioned(t *testing.T) *pubsub.Client {
	t.Helper()
	c := client(t)
	_, err := admin.Provision(t.Context(), c, options)
	require.NoError(t, err)
	return c
}

func subscription(t *testing.T, c *pubsub.Client, name string) *pubsubpb.Subscription {
	t.Helper()
	s, err := c.SubscriptionAdminClient.GetSubscription(t.Context(),
		&pubsubpb.GetSubscriptionRequest{Subscription: c.Subscriber(name).String()})
	require.NoError(t, err)
	return s
}

func verbs(actions []admin.Action) map[admin.Verb]int {
	n := map[admin.Verb]int{}
	for _, a := range actions {
		n[a.Verb]++
	}
	return n
}

func TestProvisioningIsRepeatable(t *testing.T) {
	c := client(t)
	planned := options
	planned.DryRun = true
	plan, err := admin.Provision(t.Context(), c, planned)
	require.NoError(t, err)
	require.Equal(t, map[admin.Verb]int{admin.Create: 6}, verbs(plan))

	made, err := admin.Provision(t.Context(), c, options)
	require.NoError(t, err)
	require.Equal(t, plan, made, "a dry run creates nothing and tells what would be")

	again, err := admin.Provision(t.Context(), c, options)
	require.NoError(t, err)
	require.Equal(t, map[admin.Verb]int{admin.Keep: 6}, verbs(again))

	s := subscription(t, c, threads)
	require.Equal(t, c.Publisher("nexus-thread-created").String(), s.Topic)
	require.EqualValues(t, 60, s.AckDeadlineSeconds)
	require.True(t, s.RetainAckedMessages)
	require.Equal(t, 7*24*time.Hour, s.MessageRetentionDuration.AsDuration())
	require.Equal(t, time.Minute, s.RetryPolicy.MaximumBackoff.AsDuration())
	require.Nil(t, s.DeadLetterPolicy)
	require.Equal(t, c.Publisher(deadLetters).String(), subscription(t, c, deadLetters).Topic)
}

func TestProvisioningMendsWhatDiffersAndReportsWhatItCannot(t *testing.T) {
	c := client(t)
	for _, topic := range []string{"nexus-thread-created", "other"} {
		_, err := c.TopicAdminClient.CreateTopic(t.Context(), &pubsubpb.Topic{Name: c.Publisher(topic).String()})
		require.NoError(t, err)
	}
	for name, topic := range map[string]string{threads: "nexus-thread-created", moves: "other"} {
		_, err := c.SubscriptionAdminClient.CreateSubscription(t.Context(), &pubsubpb.Subscription{
			Name: c.Subscriber(name).String(), Topic: c.Publisher(topic).String(), AckDeadlineSeconds: 10,
			MessageRetentionDuration: durationpb.New(time.Hour),
			DeadLetterPolicy:         &pubsubpb.DeadLetterPolicy{DeadLetterTopic: c.Publisher("other").String(), MaxDeliveryAttempts: 5},
		})
		require.NoError(t, err)
	}
	actions, err := admin.Provision(t.Context(), c, options)
	require.ErrorContains(t, err, "provision subscription "+moves+": it is a subscription of ")
	var updated admin.Action
	for _, a := range actions {
		if a.Verb == admin.Update {
			updated = a
		}
	}
	require.Equal(t, threads, updated.Name)
	for _, change := range []string{"ack deadline 10s → 60s", "kept for 1h0m0s → 7 days", "acknowledged messages are kept", "backoff 1s to 1m0s", "no dead-letter policy"} {
		require.Contains(t, updated.Detail, change)
	}
	s := subscription(t, c, threads)
	require.EqualValues(t, 60, s.AckDeadlineSeconds)
	require.True(t, s.RetainAckedMessages)
	require.Nil(t, s.DeadLetterPolicy)
	require.Equal(t, 7*24*time.Hour, s.MessageRetentionDuration.AsDuration())
	subscription(t, c, deadLetters) // the rest was done all the same
}

func TestASubscriptionsNameMustTellItsTopic(t *testing.T) {
	_, err := admin.Provision(t.Context(), nil, admin.ProvisionOptions{Subscriptions: []string{"a", ".b", "c."}})
	for _, fault := range []string{"subscription a:", "subscription .b:", "subscription c.:", "no dead-letter topic"} {
		require.ErrorContains(t, err, fault)
	}
}

func created(i int) events.Event {
	return events.Event{
		ID: fmt.Sprintf("e%d", i), Source: "//nexus/test", Time: time.Now().UTC(),
		Data: events.ThreadCreated{TenantID: "t_a", ThreadID: fmt.Sprintf("th_%d", i)},
	}
}

// receive takes n messages and acknowledges them. It pulls: what a stream had
// been sent ahead when it ends would be out of sight for a while.
func receive(t *testing.T, c *pubsub.Client, name string, n int) []*pubsubpb.PubsubMessage {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	full := c.Subscriber(name).String()
	var all []*pubsubpb.PubsubMessage
	for len(all) < n {
		response, err := c.SubscriptionAdminClient.Pull(ctx, &pubsubpb.PullRequest{Subscription: full, MaxMessages: 1000})
		require.NoError(t, err, "%d of %d messages", len(all), n)
		ids := make([]string, len(response.ReceivedMessages))
		for i, m := range response.ReceivedMessages {
			ids[i] = m.AckId
			all = append(all, m.Message)
		}
		if len(ids) == 0 {
			continue
		}
		require.NoError(t, c.SubscriptionAdminClient.Acknowledge(ctx, &pubsubpb.AcknowledgeRequest{Subscription: full, AckIds: ids}))
	}
	return all
}

func TestEventsArePublishedToTheTopicsOfTheirTypesAndEachIsConfirmed(t *testing.T) {
	c := provisioned(t)
	p := admin.NewPublisher(c)
	var confirmed, failed atomic.Int64
	count := func(err error) {
		if err != nil {
			failed.Add(1)
			return
		}
		confirmed.Add(1)
	}
	const n = 3000
	for i := range n {
		require.NoError(t, p.Publish(t.Context(), created(i), count))
	}
	move := events.Event{ID: "m1", Source: "//nexus/test", Time: time.Now().UTC(),
		Data: events.TenantMoved{FromTenantID: "t_a", ToTenantID: "t_b"}}
	require.NoError(t, p.Publish(t.Context(), move, count))
	canvas := events.Event{ID: "c1", Source: "//nexus/test", Time: time.Now().UTC(),
		Data: events.CanvasCreated{TenantID: "t_a", CanvasID: "cv_1"}}
	require.NoError(t, p.Publish(t.Context(), canvas, count))
	require.ErrorContains(t, p.Publish(t.Context(), events.Event{ID: "a", Data: archived.Asserted{}}, count), "archives only")
	p.Close()
	require.EqualValues(t, n+1, confirmed.Load())
	require.EqualValues(t, 1, failed.Load(), "the topic for canvases was not provisioned here")

	got := receive(t, c, threads, n)
	ids := map[string]bool{}
	for _, m := range got {
		e, err := events.Decode(m.Attributes, m.Data, time.Now().Add(time.Minute))
		require.NoError(t, err)
		ids[e.ID] = true
	}
	require.Len(t, ids, n)
	require.Equal(t, "m1", receive(t, c, moves, 1)[0].Attributes["ce-id"])
}

func TestALineIsPublishedWithAllThatItSays(t *testing.T) {
	c := provisioned(t)
	p := admin.NewPublisher(c)
	line := []byte(`{"specversion":"1.0","id":"l1","source":"//n","type":"nexus.thread.created.v1","time":"2024-01-01T00:00:00Z","ext":"x","data":{"tenant_id":"t_a","thread_id":"th","title":"ours to keep"}}`)
	event, err := archived.Decode(line, time.Now())
	require.NoError(t, err)
	want := string(line)
	require.NoError(t, p.PublishLine(t.Context(), event, line, func(err error) { require.NoError(t, err) }))
	clear(line) // the reader goes on to the next
	p.Close()

	m := receive(t, c, threads, 1)[0]
	require.Equal(t, want, string(m.Data))
	again, err := events.Decode(m.Attributes, m.Data, time.Now())
	require.NoError(t, err)
	require.Equal(t, event, again)
}

func TestRewindingDeliversAgainWhatWasAcknowledged(t *testing.T) {
	c := provisioned(t)
	since := time.Now().Add(-time.Minute)
	p := admin.NewPublisher(c)
	for i := range 10 {
		require.NoError(t, p.Publish(t.Context(), created(i), func(err error) { require.NoError(t, err) }))
	}
	p.Close()
	receive(t, c, threads, 10)
	require.NoError(t, admin.Rewind(t.Context(), c, []string{threads}, since))
	receive(t, c, threads, 10)
	require.ErrorContains(t, admin.Rewind(t.Context(), c, []string{"missing.one", threads, "missing.two"}, since), "missing.one")
}
