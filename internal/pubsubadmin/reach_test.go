package pubsubadmin_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	admin "github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
)

func TestWhatProvisionMakesSaysSinceWhenItKeepsMessages(t *testing.T) {
	c := client(t)
	began := time.Now().Truncate(time.Second)
	withLog := options
	withLog.LogTopic = "the-log"
	for range 2 { // the second time there is nothing to correct
		_, err := admin.Provision(t.Context(), c, withLog)
		require.NoError(t, err)
	}
	names := []string{threads, moves, "the-log"}
	all, missing, err := admin.Reaches(t.Context(), c, append(names, "gone.x"))
	require.NoError(t, err)
	require.Equal(t, []string{"gone.x"}, missing)
	for _, name := range names {
		require.WithinRange(t, all[name].Gone, began, time.Now(), name)
		require.Equal(t, all[name].Gone, all[name].Certain, name)
	}
	require.Empty(t, subscription(t, c, deadLetters).Labels, "dead letters are not replayed")
}

// labelling is a client of the emulator that updates labels, as the service does and the
// emulator does not (measured: "labels is not a known Subscription field").
func labelling(t *testing.T) *pubsub.Client {
	t.Helper()
	project := emulatortest.PubSub(t)
	updated := map[string]map[string]string{}
	without := func(mask *fieldmaskpb.FieldMask) (had bool) {
		n := len(mask.Paths)
		mask.Paths = slices.DeleteFunc(mask.Paths, func(path string) bool { return path == "labels" })
		return len(mask.Paths) < n
	}
	intercept := func(ctx context.Context, method string, request, reply any, on *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		paths := 1
		switch r := request.(type) {
		case *pubsubpb.UpdateSubscriptionRequest:
			if without(r.UpdateMask) {
				updated[r.Subscription.Name] = r.Subscription.Labels
			}
			paths = len(r.UpdateMask.Paths)
		case *pubsubpb.UpdateTopicRequest:
			if without(r.UpdateMask) {
				updated[r.Topic.Name] = r.Topic.Labels
			}
			paths = len(r.UpdateMask.Paths)
		}
		if paths == 0 {
			return nil
		}
		err := call(ctx, method, request, reply, on, opts...)
		switch r := reply.(type) {
		case *pubsubpb.Subscription:
			if labels := updated[r.Name]; labels != nil {
				r.Labels = labels
			}
		case *pubsubpb.Topic:
			if labels := updated[r.Name]; labels != nil {
				r.Labels = labels
			}
		}
		return err
	}
	client, err := pubsub.NewClient(t.Context(), project.ID, project.PubSubOptions(grpc.WithChainUnaryInterceptor(intercept))...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// older makes the subscription of threads as an earlier release, or a person, may have.
func older(t *testing.T, c *pubsub.Client, settings *pubsubpb.Subscription, topicKeeps time.Duration) {
	t.Helper()
	topic := &pubsubpb.Topic{Name: c.Publisher("nexus-thread-created").String(), Labels: map[string]string{"team": "nexus"}}
	if topicKeeps > 0 {
		topic.MessageRetentionDuration = durationpb.New(topicKeeps)
	}
	_, err := c.TopicAdminClient.CreateTopic(t.Context(), topic)
	require.NoError(t, err)
	settings.Name, settings.Topic, settings.Labels = c.Subscriber(threads).String(), topic.Name, map[string]string{"team": "nexus"}
	settings.AckDeadlineSeconds, settings.ExpirationPolicy = 60, &pubsubpb.ExpirationPolicy{}
	settings.RetryPolicy = &pubsubpb.RetryPolicy{MinimumBackoff: durationpb.New(time.Second), MaximumBackoff: durationpb.New(time.Minute)}
	_, err = c.SubscriptionAdminClient.CreateSubscription(t.Context(), settings)
	require.NoError(t, err)
}

func reachOfThreads(t *testing.T, c *pubsub.Client) (certain, gone time.Duration) {
	t.Helper()
	all, _, err := admin.Reaches(t.Context(), c, []string{threads})
	require.NoError(t, err)
	return time.Since(all[threads].Certain), time.Since(all[threads].Gone)
}

const week = 7 * 24 * time.Hour

// Made by hand or by an earlier release: what it had before is not known.
func TestWhatWasThereBeforeIsNotedWhenItIsSeenAndKeepsItsLabels(t *testing.T) {
	c := labelling(t)
	older(t, c, &pubsubpb.Subscription{RetainAckedMessages: true, MessageRetentionDuration: durationpb.New(week)}, 4*week)
	certain, gone := reachOfThreads(t, c)
	require.Less(t, certain, time.Minute)
	require.InDelta(t, (4 * week).Hours(), gone.Hours(), 0.1, "it may be as old as what its topic keeps")

	actions, err := admin.Provision(t.Context(), c, options)
	require.NoError(t, err)
	noted := func() (all []string) {
		for _, a := range actions {
			if a.Verb == admin.Update {
				all = append(all, a.String())
			}
		}
		return all
	}
	require.Equal(t, []string{"update topic nexus-thread-created: a label says since when", "update subscription " + threads + ": a label says since when"}, noted())
	labels := subscription(t, c, threads).Labels
	require.Equal(t, "nexus", labels["team"])
	certain, gone = reachOfThreads(t, c)
	require.Less(t, certain, time.Minute)
	require.InDelta(t, (4 * week).Hours(), gone.Hours(), 0.1)
	of, err := topic(t, c, "nexus-thread-created")
	require.NoError(t, err)
	require.Equal(t, "nexus", of.Labels["team"])
	require.Len(t, of.Labels, 2)

	actions, err = admin.Provision(t.Context(), c, options)
	require.NoError(t, err)
	require.Empty(t, noted(), "noted once")
	require.Equal(t, labels, subscription(t, c, threads).Labels)
}

func TestASubscriptionThatWasToldToKeepMoreReachesNoFurtherThanItKept(t *testing.T) {
	for name, c := range map[string]struct {
		had  *pubsubpb.Subscription
		gone time.Duration
	}{
		"what was acknowledged was let go": {&pubsubpb.Subscription{MessageRetentionDuration: durationpb.New(week)}, 0},
		"it kept for a day":                {&pubsubpb.Subscription{RetainAckedMessages: true, MessageRetentionDuration: durationpb.New(24 * time.Hour)}, 24 * time.Hour},
	} {
		client := labelling(t)
		older(t, client, c.had, 0)
		_, err := admin.Provision(t.Context(), client, options)
		require.NoError(t, err)
		certain, gone := reachOfThreads(t, client)
		require.Less(t, certain, time.Minute, name)
		require.InDelta(t, c.gone.Hours(), gone.Hours(), 0.1, name)
	}
}

// provisionedLog provisions a log whose topic was there, and kept messages for a week.
func provisionedLog(t *testing.T, c *pubsub.Client) admin.ProvisionOptions {
	t.Helper()
	_, err := c.TopicAdminClient.CreateTopic(t.Context(), &pubsubpb.Topic{Name: c.Publisher("the-log").String(), MessageRetentionDuration: durationpb.New(week)})
	require.NoError(t, err)
	withLog := options
	withLog.LogTopic = "the-log"
	_, err = admin.Provision(t.Context(), c, withLog)
	require.NoError(t, err)
	return withLog
}

func TestALogTopicThatIsToldToKeepMoreReachesNoFurtherThanItKept(t *testing.T) {
	c := labelling(t)
	provisionedLog(t, c)
	all, _, err := admin.Reaches(t.Context(), c, []string{"the-log"})
	require.NoError(t, err)
	require.InDelta(t, week.Hours(), time.Since(all["the-log"].Gone).Hours(), 0.1, "the topic is older than its new subscription")
	require.Less(t, time.Since(all["the-log"].Certain), time.Minute)
}

// The emulator knows no labels in an update, and everything else is updated there.
func TestATopicIsUpdatedThoughItsLabelsCannotBe(t *testing.T) {
	c := client(t)
	withLog := provisionedLog(t, c)
	log, err := topic(t, c, "the-log")
	require.NoError(t, err)
	require.Equal(t, 31*24*time.Hour, log.MessageRetentionDuration.AsDuration())
	again, err := admin.Provision(t.Context(), c, withLog)
	require.NoError(t, err)
	for _, a := range again {
		require.Equal(t, admin.Keep, a.Verb, a.String())
	}
}
