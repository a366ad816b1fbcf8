package subscription_test

import (
	"regexp"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/northstar-engines/realtime-registry/internal/subscription"
)

const day = 24 * time.Hour

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func keeping(labels map[string]string) *pubsubpb.Subscription {
	return &pubsubpb.Subscription{
		Topic: "projects/p/topics/t", RetainAckedMessages: true, MessageRetentionDuration: durationpb.New(7 * day), Labels: labels,
	}
}

func TestASubscriptionReachesBackToWhereItIsKnownToKeepAll(t *testing.T) {
	made := func(age time.Duration) map[string]string { return subscription.MadeLabels(now.Add(-age)) }
	seen := func(age time.Duration) map[string]string { return subscription.Seen(nil, now.Add(-age)) }
	topic := func(keep time.Duration, labels map[string]string) *pubsubpb.Topic {
		return &pubsubpb.Topic{MessageRetentionDuration: durationpb.New(keep), Labels: labels}
	}
	deleted := keeping(made(3 * day))
	deleted.Topic = "_deleted-topic_"
	acked := keeping(made(3 * day))
	acked.RetainAckedMessages = false
	for name, c := range map[string]struct {
		have          *pubsubpb.Subscription
		topic         *pubsubpb.Topic
		certain, gone time.Duration // ago
		why           string
	}{
		"it was made since":                         {keeping(made(time.Hour)), nil, time.Hour, time.Hour, "it was made, or told to keep as much, at 2026-11-26T11:00:00Z"},
		"it is older than what it keeps":            {keeping(made(9 * day)), nil, 7 * day, 7 * day, "it keeps messages for 7 days"},
		"it was there when it was first seen":       {keeping(seen(2 * day)), nil, 2 * day, 7 * day, "it keeps messages for 7 days"},
		"nothing says since when it is there":       {keeping(nil), nil, 0, 7 * day, "it keeps messages for 7 days"},
		"what a label says is no time":              {keeping(map[string]string{subscription.SeenLabel: "x"}), nil, 0, 7 * day, "it keeps messages for 7 days"},
		"it keeps nothing that was acknowledged":    {acked, nil, 0, 0, "it keeps no message that was acknowledged"},
		"its topic keeps more":                      {keeping(made(time.Hour)), topic(31*day, made(20*day)), 20 * day, 20 * day, "its topic: it was made, or told to keep as much, at 2026-11-06T12:00:00Z"},
		"its topic keeps less":                      {keeping(made(5 * day)), topic(day, made(20*day)), 5 * day, 5 * day, "it was made, or told to keep as much, at 2026-11-21T12:00:00Z"},
		"both were made since":                      {keeping(made(time.Hour)), topic(31*day, made(time.Hour)), time.Hour, time.Hour, "it was made, or told to keep as much, at 2026-11-26T11:00:00Z"},
		"nothing says since when its topic is":      {keeping(made(time.Hour)), topic(31*day, nil), time.Hour, 31 * day, "its topic: it keeps messages for 31 days"},
		"its topic keeps nothing":                   {keeping(made(time.Hour)), topic(0, made(20*day)), time.Hour, time.Hour, "it was made, or told to keep as much, at 2026-11-26T11:00:00Z"},
		"its topic was deleted, and is there again": {deleted, topic(31*day, made(20*day)), 3 * day, 3 * day, "it was made, or told to keep as much, at 2026-11-23T12:00:00Z"},
	} {
		got := subscription.ReachOf(c.have, c.topic, now)
		require.Equal(t, subscription.Reach{Certain: now.Add(-c.certain), Gone: now.Add(-c.gone), Why: c.why}, got, name)
	}
}

// What a subscription has let go does not come back when it is told to keep more.
func TestWhatIsToKeepMoreReachesNoFurtherBackThanItKept(t *testing.T) {
	for name, c := range map[string]struct {
		labels        map[string]string
		had           time.Duration
		certain, gone time.Duration
	}{
		"it kept nothing":                     {nil, 0, 0, 0},
		"it kept nothing, and was seen":       {subscription.Seen(nil, now.Add(-3*day)), 0, 0, 0},
		"it kept for a day":                   {nil, day, 0, day},
		"it kept for a day, and was seen":     {subscription.Seen(nil, now.Add(-day/2)), day, day / 2, day},
		"it kept for a day, and is older":     {subscription.MadeLabels(now.Add(-3 * day)), day, day, day},
		"it kept for two days, and is a day":  {subscription.MadeLabels(now.Add(-day)), 2 * day, day, day},
		"it kept for a day, and was seen ago": {subscription.Seen(nil, now.Add(-4*day)), day, day, day},
	} {
		got := subscription.ReachOf(keeping(subscription.MoreKept(c.labels, c.had, now)), nil, now)
		require.Equal(t, [2]time.Time{now.Add(-c.certain), now.Add(-c.gone)}, [2]time.Time{got.Certain, got.Gone}, name)
	}
}

func TestLabelsOfOthersStayAndWhatIsSeenIsNotedOnce(t *testing.T) {
	others := map[string]string{"team": "nexus"}
	first := subscription.Seen(others, now)
	require.Equal(t, map[string]string{"team": "nexus"}, others, "it is not changed")
	require.Equal(t, first, subscription.Seen(first, now.Add(day)))
	require.Equal(t, "nexus", subscription.MoreKept(first, 0, now)["team"])
	for _, labels := range []map[string]string{first, subscription.MadeLabels(now)} {
		for key, value := range labels {
			require.Regexp(t, regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`), key)
			require.Regexp(t, regexp.MustCompile(`^[a-z0-9_-]{0,63}$`), value)
		}
	}
}
