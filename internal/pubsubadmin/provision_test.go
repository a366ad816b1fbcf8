package pubsubadmin_test

import (
	"fmt"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	admin "github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
)

func topic(t *testing.T, c *pubsub.Client, name string) (*pubsubpb.Topic, error) {
	t.Helper()
	return c.TopicAdminClient.GetTopic(t.Context(), &pubsubpb.GetTopicRequest{Topic: c.Publisher(name).String()})
}

func TestDeadLettersAreKeptForTheLongestThatThereIsAndComeFirst(t *testing.T) {
	c := client(t)
	actions, err := admin.Provision(t.Context(), c, options)
	require.NoError(t, err)
	require.Equal(t, []string{"create topic " + deadLetters + ": kept for 31 days", "create subscription " + deadLetters},
		[]string{actions[0].String(), fmt.Sprintf("%s %s %s", actions[1].Verb, actions[1].Kind, actions[1].Name)})
	require.Contains(t, actions[1].Detail, "kept for 31 days")
	letters, err := topic(t, c, deadLetters)
	require.NoError(t, err)
	require.Equal(t, 31*24*time.Hour, letters.MessageRetentionDuration.AsDuration())
	require.Equal(t, 7*24*time.Hour, subscription(t, c, deadLetters).MessageRetentionDuration.AsDuration(), "the emulator's longest")

	events, err := topic(t, c, "nexus-thread-created")
	require.NoError(t, err)
	require.Nil(t, events.MessageRetentionDuration, "events are kept by their subscription")
}

func TestADeadLetterTopicThatKeepsForLessIsMended(t *testing.T) {
	c := client(t)
	_, err := c.TopicAdminClient.CreateTopic(t.Context(), &pubsubpb.Topic{
		Name: c.Publisher(deadLetters).String(), MessageRetentionDuration: durationpb.New(24 * time.Hour),
	})
	require.NoError(t, err)
	actions, err := admin.Provision(t.Context(), c, options)
	require.NoError(t, err)
	require.Equal(t, "update topic "+deadLetters+": kept for 1 days → 31 days", actions[0].String())
	require.Contains(t, actions[1].Detail, "what the topic took before it: `gcloud pubsub subscriptions seek "+deadLetters+" --time=TIME`")
}

func TestWhereATopicWasDeletedNoOtherIsMadeWhoseMessagesReachNobody(t *testing.T) {
	c := provisioned(t)
	for _, name := range []string{deadLetters, "nexus-thread-created"} {
		require.NoError(t, c.TopicAdminClient.DeleteTopic(t.Context(), &pubsubpb.DeleteTopicRequest{Topic: c.Publisher(name).String()}))
	}
	_, err := admin.Provision(t.Context(), c, options)
	for _, name := range []string{deadLetters, threads} {
		require.ErrorContains(t, err, "provision subscription "+name+": its topic was deleted")
	}
	for _, name := range []string{deadLetters, "nexus-thread-created"} {
		_, err := topic(t, c, name)
		require.Equal(t, codes.NotFound, status.Code(err), name)
	}
}

func TestALetterOfATopicThatWasDeletedIsPublishedToItsNamesake(t *testing.T) {
	c := provisioned(t)
	refuse(t, c, 1)
	stop := work(t, c)
	require.Eventually(t, func() bool { letters, _ := list(t, c, 10); return len(letters) == 1 }, time.Minute, time.Millisecond)
	stop()
	full := c.Publisher("nexus-thread-created").String()
	require.NoError(t, c.TopicAdminClient.DeleteTopic(t.Context(), &pubsubpb.DeleteTopicRequest{Topic: full}))
	_, err := c.TopicAdminClient.CreateTopic(t.Context(), &pubsubpb.Topic{Name: full})
	require.NoError(t, err)
	report, err := admin.Redrive(t.Context(), c, deadLetters, redriving(idle))
	require.NoError(t, err)
	require.Equal(t, 1, report.Total)
}
