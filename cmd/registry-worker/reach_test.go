package main

import (
	"net/http"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/northstar-engines/realtime-registry/internal/subscription"
)

// made makes a topic and its subscription as provision would have at a time; the zero
// time: as an earlier release did.
func made(t *testing.T, client *pubsub.Client, want subscription.Wanted, at time.Time) {
	t.Helper()
	topic := &pubsubpb.Topic{Name: client.Publisher(want.Topic).String()}
	if keep := want.TopicRetention(); keep > 0 {
		topic.MessageRetentionDuration = durationpb.New(keep)
	}
	s := want.Settings()
	s.Name, s.Topic = client.Subscriber(want.Name).String(), topic.Name
	s.MessageRetentionDuration = durationpb.New(subscription.Retention) // the emulator's longest
	if !at.IsZero() {
		topic.Labels, s.Labels = subscription.MadeLabels(at), subscription.MadeLabels(at)
	}
	_, err := client.TopicAdminClient.CreateTopic(t.Context(), topic)
	require.NoError(t, err)
	_, err = client.SubscriptionAdminClient.CreateSubscription(t.Context(), s)
	require.NoError(t, err)
}

// onThings is a program whose only subscription was made at a time, as by made.
func onThings(t *testing.T, at time.Time) (program, *pubsub.Client) {
	t.Helper()
	c := onEmulators(t)
	c.env = []string{"REGISTRY_SUBSCRIPTIONS=things.worker"}
	client := c.pubsubClient()
	made(t, client, subscription.Of("things.worker"), at)
	return c, client
}

// The log's topic and subscription were deleted and are made anew: they have nothing, as
// if nothing had happened.
func TestReplaySinceSaysThatALogWhichWasMadeAnewHasAGap(t *testing.T) {
	t.Parallel()
	c, client := onThings(t, time.Now().Add(-5*24*time.Hour))
	log := subscription.OfLog("realtime-registry-log")
	made(t, client, log, time.Now().Add(-5*24*time.Hour))
	c.run(exitDone, "provision")
	c.replay(created("1", "2024-01-01T00:00:00Z", "t_ada", "th_1"))
	require.NotContains(t, c.run(exitDone, "replay", "--since", "4d", "--yes").Stderr.String(), "MISSING")

	require.NoError(t, client.SubscriptionAdminClient.DeleteSubscription(t.Context(), &pubsubpb.DeleteSubscriptionRequest{Subscription: client.Subscriber(log.Name).String()}))
	require.Contains(t, c.run(exitDone, "provision").Stderr.String(), "and its subscription was not there, what it had is in its topic")
	require.NotContains(t, c.run(exitDone, "replay", "--since", "4d", "--yes").Stderr.String(), "MISSING", "its topic keeps all")

	require.NoError(t, client.SubscriptionAdminClient.DeleteSubscription(t.Context(), &pubsubpb.DeleteSubscriptionRequest{Subscription: client.Subscriber(log.Name).String()}))
	require.NoError(t, client.TopicAdminClient.DeleteTopic(t.Context(), &pubsubpb.DeleteTopicRequest{Topic: client.Publisher(log.Topic).String()}))
	require.Contains(t, c.run(exitDone, "provision").Stderr.String(), "and its subscription was not there, nor its topic: what they had is in an archive at best")
	for _, mode := range []string{"--yes", "--dry-run"} {
		got := c.run(exitFault, "replay", "--since", "4d", mode).Stderr.String()
		require.Regexp(t, `MISSING in realtime-registry-log: what was published from \S+ to \S+, since it was made, or told to keep as much, at `, got)
		require.NotContains(t, got, "MISSING in things.worker")
		require.Contains(t, got, "nothing was changed")
		require.NotContains(t, got, "rewound")
	}
	got := c.run(exitDone, "replay", "--since", "4d", "--yes", "--with-gap").Stderr.String()
	require.Contains(t, got, "MISSING in realtime-registry-log")
	require.Contains(t, got, "does NOT come back (--with-gap)")
	require.Contains(t, got, "1 subscription rewound")
	got = c.run(exitDone, "replay", "--since", "30m", "--yes").Stderr.String()
	require.Contains(t, got, "realtime-registry-log: all that was published since ", "it was made within the hour to spare")
	require.NotContains(t, got, "epoch")
	c.alter("realtime_registry_ledger", "head", "epoch_since", time.Now().Add(-40*24*time.Hour))
	require.Contains(t, c.run(exitDone, "replay", "--since", "30m", "--yes").Stderr.String(), "if this database was restored since then, registry-worker recover comes first")
}

func TestReplaySinceSaysWhatSubscriptionsKeepNoMore(t *testing.T) {
	t.Parallel()
	c, _ := onThings(t, time.Now().Add(-50*24*time.Hour))
	got := c.run(exitFault, "replay", "--since", "10d", "--yes", "--without-log", "--into-empty").Stderr.String()
	require.Regexp(t, `MISSING in things\.worker: .*, since it keeps messages for 7 days`, got)
}

// A seek goes forward too: what was published before that time, and waits, would be gone.
func TestReplaySinceDropsNoEventThatItSeesWaiting(t *testing.T) {
	t.Parallel()
	c, client := onThings(t, time.Now().Add(-5*24*time.Hour))
	publisher := client.Publisher("things")
	defer publisher.Stop()
	_, err := publisher.Publish(t.Context(), &pubsub.Message{Data: []byte("waits")}).Get(t.Context())
	require.NoError(t, err)
	published := time.Now() // or before; --since is in whole seconds
	require.Eventually(t, func() bool { return time.Now().Truncate(time.Second).After(published) }, 30*time.Second, 10*time.Millisecond)
	for _, mode := range []string{"--dry-run", "--yes"} {
		got := c.run(exitFault, "replay", "--since", time.Now().UTC().Format(time.RFC3339), mode, "--without-log", "--into-empty").Stderr.String()
		require.Contains(t, got, "WAITS in things.worker, and would be dropped: an event that was published at ")
		require.Contains(t, got, "nothing was changed")
		require.NotContains(t, got, "rewound")
	}
	require.Contains(t, c.run(exitDone, "replay", "--since", "1h", "--yes", "--without-log", "--into-empty").Stderr.String(), "1 subscription rewound")
}

// Made by hand, or by an earlier release, and not provisioned since.
func TestReplaySinceSaysWhatItCannotKnow(t *testing.T) {
	t.Parallel()
	c, _ := onThings(t, time.Time{})
	got := c.run(exitDone, "replay", "--since", "3d", "--yes", "--without-log", "--into-empty").Stderr.String()
	require.Contains(t, got, "Not known of things.worker: whether it has all that was published before ")
	require.Contains(t, got, "gcloud logging read --project "+c.project.ID)
	require.Contains(t, got, "1 subscription rewound")
}

// The log's topic was deleted, and its subscription has what it had: that comes first.
func TestALogWithoutItsTopicIsReplayedBeforeItIsMadeAnew(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	restored := c // here: a database that has a log, and not what came last
	restored.env = []string{"FIRESTORE_DATABASE=restored"}
	for _, p := range []program{c, restored} {
		p.run(exitDone, "provision")
		p.replay(created("1", "2024-01-01T00:00:00Z", "t_ada", "th_2"))
	}
	_, url := c.service("serve")
	require.Equal(t, http.StatusCreated, do(t, http.MethodPut, url+"/v1/threads/th_1", "t_ada"))
	require.Eventually(t, func() bool { return sum(t, url, "registry_log_published_total") == 1 }, 30*time.Second, 20*time.Millisecond)
	client := c.pubsubClient()
	require.NoError(t, client.TopicAdminClient.DeleteTopic(t.Context(), &pubsubpb.DeleteTopicRequest{Topic: client.Publisher("realtime-registry-log").String()}))

	got := restored.run(exitFault, "provision").Stderr.String()
	require.Contains(t, got, "first bring them back by `registry-worker replay --since TIME`")
	require.Contains(t, got, "indexes and expiry of fields: ", "the database is seen to all the same")
	said := restored.run(exitDone, "replay", "--since", "1h", "--yes").Stderr.String()
	require.Contains(t, said, "1 message of the log read")
	require.Contains(t, said, "The topic of realtime-registry-log was deleted: what is kept comes back, and nothing new reaches it")
	require.Contains(t, restored.run(exitDone, "export").Stdout.String(), `"th_1","tenant_id":"t_ada"`)
}

// FIRESTORE_DATABASE was forgotten, in a project that has a registry.
func TestProvisionSaysWhetherItMakesANewRegistryBeforeItDoes(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	right := c
	right.env = []string{"FIRESTORE_DATABASE=right"}
	first := right.run(exitDone, "provision").Stderr.String()
	require.Contains(t, first, "a new registry: there is no registry in project "+c.project.ID+", database right")
	require.NotContains(t, first, "was there before")
	require.Contains(t, right.run(exitDone, "provision").Stderr.String(), "the registry: it is there, and has no documents")
	right.replay(created("1", "2024-01-01T00:00:00Z", "t_ada", "th_1"))
	require.Contains(t, right.run(exitDone, "provision").Stderr.String(), "the registry: it is there, and has documents")
	for _, args := range [][]string{{"provision", "--dry-run"}, {"provision"}} {
		got := c.run(exitDone, args...).Stderr.String()
		require.Contains(t, got, "a new registry: there is no registry in project "+c.project.ID+", database (default)")
		require.Contains(t, got, "--database (FIRESTORE_DATABASE) names another than (default)")
		require.Contains(t, got, "warning: the log's subscription was there before")
	}
}
