package pubsubadmin_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"

	admin "github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
)

const logTopic = "realtime-registry-log"

func withLog(t *testing.T) *pubsub.Client {
	t.Helper()
	c := client(t)
	provisionLog(t, c)
	return c
}

func provisionLog(t *testing.T, c *pubsub.Client) {
	t.Helper()
	o := options
	o.LogTopic = logTopic
	actions, err := admin.Provision(t.Context(), c, o)
	require.NoError(t, err)
	require.Contains(t, actions[2].String(), "create topic "+logTopic+": kept for 31 days")
	require.Contains(t, actions[3].String(), "create subscription "+logTopic)
}

func logLines(t *testing.T, c *pubsub.Client, lines ...string) {
	t.Helper()
	publisher := c.Publisher(logTopic)
	defer publisher.Stop()
	var results []*pubsub.PublishResult
	for _, line := range lines {
		results = append(results, publisher.Publish(t.Context(), &pubsub.Message{Data: []byte(line)}))
	}
	for _, r := range results {
		_, err := r.Get(t.Context())
		require.NoError(t, err)
	}
}

// readLog reads the log to its end, and says of the first n lines that they are applied.
func readLog(t *testing.T, c *pubsub.Client, since time.Time, applied func(read int) int) (texts []string) {
	t.Helper()
	log, err := admin.OpenLog(t.Context(), c, logTopic, since, time.Now())
	require.NoError(t, err)
	defer log.Close()
	for line, err := range log.Lines(t.Context()) {
		require.NoError(t, err)
		require.Equal(t, logTopic, line.File)
		texts = append(texts, string(line.Text))
		require.Equal(t, len(texts), line.Number)
	}
	require.NoError(t, log.Applied(applied(len(texts))))
	slices.Sort(texts)
	return texts
}

func TestTheLogIsKeptForTheLongestThatThereIsAlsoIfItWasRead(t *testing.T) {
	t.Parallel()
	c := withLog(t)
	have := subscription(t, c, logTopic)
	require.True(t, have.RetainAckedMessages)
	require.Nil(t, have.RetryPolicy)
	kept, err := topic(t, c, logTopic)
	require.NoError(t, err)
	require.Equal(t, 31*24*time.Hour, kept.MessageRetentionDuration.AsDuration())
}

func TestTheLogIsReadFromATimeHoweverOftenAndWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	c := withLog(t)
	began := time.Now().Add(-time.Minute)
	var want []string
	for i := range 30 {
		want = append(want, fmt.Sprintf("line %02d", i))
	}
	logLines(t, c, want...)
	all := func(read int) int { return read }
	require.Equal(t, want, readLog(t, c, began, all))
	require.Equal(t, want, readLog(t, c, began, func(int) int { return 10 }), "acknowledged ones too")
	require.Equal(t, want, readLog(t, c, began, all), "and those that a replay which was killed had not applied")

	_, err := c.SubscriptionAdminClient.GetSubscription(t.Context(), &pubsubpb.GetSubscriptionRequest{Subscription: c.Subscriber(logTopic).String()})
	require.NoError(t, err)
	require.Empty(t, readLog(t, c, time.Now().Add(time.Minute), func(int) int { return 0 }), "nothing was published since then")
}

func TestALogThatIsNotThereIsNamed(t *testing.T) {
	t.Parallel()
	_, err := admin.OpenLog(t.Context(), client(t), logTopic, time.Now(), time.Now())
	require.ErrorContains(t, err, "subscription "+logTopic)
}
