package emulatortest_test

import (
	"context"
	"regexp"
	"testing"

	"cloud.google.com/go/firestore"
	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
)

func firestoreClient(t *testing.T, p emulatortest.Project, m *wire.Meter) *firestore.Client {
	client, err := firestore.NewClient(t.Context(), p.ID, p.FirestoreOptions(m.DialOptions()...)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestTestsDoNotSeeEachOthersDocuments(t *testing.T) {
	write, read := emulatortest.Firestore(t), emulatortest.Firestore(t)
	meter := wire.NewMeter()
	_, err := firestoreClient(t, write, meter).Doc("c/d").Set(t.Context(), map[string]any{"a": 1})
	require.NoError(t, err)
	_, err = firestoreClient(t, write, meter).Doc("c/d").Get(t.Context())
	require.NoError(t, err)
	_, err = firestoreClient(t, read, meter).Doc("c/d").Get(t.Context())
	require.Equal(t, codes.NotFound, status.Code(err))
}

func TestTestsDoNotSeeEachOthersTopics(t *testing.T) {
	first, second := emulatortest.PubSub(t), emulatortest.PubSub(t)
	for _, p := range []emulatortest.Project{first, second} {
		client, err := pubsub.NewClient(t.Context(), p.ID, p.PubSubOptions()...)
		require.NoError(t, err)
		_, err = client.TopicAdminClient.CreateTopic(t.Context(), &pubsubpb.Topic{Name: "projects/" + p.ID + "/topics/events"})
		require.NoError(t, err, "the name is free in every project")
		require.NoError(t, client.Close())
	}
}

// What stays costs the emulator a thread that never rests.
func TestNoSubscriptionStaysBehindATest(t *testing.T) {
	var project, emulator string
	t.Run("that forgets it", func(t *testing.T) {
		p := emulatortest.PubSub(t)
		client, err := pubsub.NewClient(t.Context(), p.ID, p.PubSubOptions()...)
		require.NoError(t, err)
		project, emulator = "projects/"+p.ID, p.PubSubRules.Target()
		topic := project + "/topics/events"
		_, err = client.TopicAdminClient.CreateTopic(t.Context(), &pubsubpb.Topic{Name: topic})
		require.NoError(t, err)
		for _, name := range []string{"one", "another"} {
			_, err = client.SubscriptionAdminClient.CreateSubscription(t.Context(), &pubsubpb.Subscription{Name: project + "/subscriptions/" + name, Topic: topic})
			require.NoError(t, err)
		}
	})
	conn, err := grpc.NewClient("passthrough:///"+emulator, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	left, err := pubsubpb.NewSubscriberClient(conn).ListSubscriptions(t.Context(), &pubsubpb.ListSubscriptionsRequest{Project: project})
	require.NoError(t, err)
	require.Empty(t, left.GetSubscriptions())
}

// The environment names an emulator when `make test` runs; Google's clients
// would then ignore dial options, and a meter would count nothing.
func TestDialOptionsHoldWhateverTheEnvironmentSays(t *testing.T) {
	p := emulatortest.Firestore(t)
	t.Setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1")
	meter := wire.NewMeter()
	_, err := firestoreClient(t, p, meter).Doc("c/d").Set(context.Background(), map[string]any{"a": 1})
	require.NoError(t, err)
	require.EqualValues(t, 1, meter.Writes("c"))
}

func TestProjectIDsAreValidReadableAndNew(t *testing.T) {
	valid := regexp.MustCompile(`^[a-z][a-z0-9-]{4,28}[a-z0-9]$`)
	for _, name := range []string{"a", "1", "__", "Ünï/çode", "A test, of a long name that goes on and on/and on"} {
		t.Run(name, func(t *testing.T) {
			first, second := emulatortest.Firestore(t).ID, emulatortest.Firestore(t).ID
			require.Regexp(t, valid, first)
			require.NotEqual(t, first, second)
		})
	}
	require.Regexp(t, `^projectidsarevalidr`, emulatortest.Firestore(t).ID)
}
