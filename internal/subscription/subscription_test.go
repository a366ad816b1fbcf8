package subscription_test

import (
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/northstar-engines/realtime-registry/internal/subscription"
)

func as(w subscription.Wanted, change func(*pubsubpb.Subscription)) *pubsubpb.Subscription {
	s := w.Settings()
	s.Labels = subscription.MadeLabels(time.Unix(1, 0))
	s.Name, s.Topic = "projects/p/subscriptions/nexus-thread-created.realtime-registry", "projects/p/topics/nexus-thread-created"
	change(s)
	return s
}

func TestWhatLosesMessagesIsAHarm(t *testing.T) {
	want := subscription.Of("projects/p/subscriptions/nexus-thread-created.realtime-registry")
	for text, change := range map[string]func(*pubsubpb.Subscription){
		"": func(*pubsubpb.Subscription) {},
		"its topic was deleted, and what is published to a new one of that name does not reach it; " +
			"first let workers that run take what waits in it (one that starts refuses it; `registry-worker doctor` says when nothing waits); then delete it (gcloud pubsub subscriptions delete projects/p/subscriptions/nexus-thread-created.realtime-registry)": func(s *pubsubpb.Subscription) { s.Topic = "_deleted-topic_" },
		"it is a subscription of p": func(s *pubsubpb.Subscription) { s.Topic = "projects/p/topics/other" },
		"it is detached":            func(s *pubsubpb.Subscription) { s.Detached = true },
		"are pushed elsewhere": func(s *pubsubpb.Subscription) {
			s.PushConfig = &pubsubpb.PushConfig{PushEndpoint: "https://example.com"}
		},
		"are pushed elsewhere, and":     func(s *pubsubpb.Subscription) { s.BigqueryConfig = &pubsubpb.BigQueryConfig{} },
		"are pushed elsewhere, and can": func(s *pubsubpb.Subscription) { s.CloudStorageConfig = &pubsubpb.CloudStorageConfig{} },
		`it has a filter (attributes:x)`: func(s *pubsubpb.Subscription) {
			s.Filter = "attributes:x"
		},
		"it has message transforms": func(s *pubsubpb.Subscription) {
			s.MessageTransforms = []*pubsubpb.MessageTransform{{}}
		},
		"dead-letter policy of Pub/Sub's own": func(s *pubsubpb.Subscription) { s.DeadLetterPolicy = &pubsubpb.DeadLetterPolicy{} },
	} {
		have := as(want, change)
		if text == "" {
			require.NoError(t, want.Harm(have))
			require.Empty(t, want.Differences(have))
			continue
		}
		require.ErrorContains(t, want.Harm(have), text)
		if have.DeadLetterPolicy == nil {
			require.Error(t, want.Fault(have), text)
		} else {
			require.NoError(t, want.Fault(have), "provision removes it")
			require.Len(t, want.Differences(have), 1)
		}
	}
}

func TestATopicOfAnotherProjectAndOneThatIsNotKnownAreRight(t *testing.T) {
	elsewhere := func(s *pubsubpb.Subscription) { s.Topic = "projects/nexus/topics/nexus-thread-created" }
	want := subscription.Of("nexus-thread-created.realtime-registry")
	require.NoError(t, want.Harm(as(want, elsewhere)))
	unknown := subscription.Of("everything")
	require.Empty(t, unknown.Topic)
	require.NoError(t, unknown.Harm(as(unknown, elsewhere)))
	require.Error(t, unknown.Harm(as(unknown, func(s *pubsubpb.Subscription) { s.Topic = "_deleted-topic_" })))
}

func TestWhatKeepsLessIsToldAndDoesNoHarm(t *testing.T) {
	want := subscription.Of("nexus-thread-created.realtime-registry")
	have := as(want, func(s *pubsubpb.Subscription) {
		s.MessageRetentionDuration = durationpb.New(time.Hour)
		s.RetainAckedMessages = false
		s.ExpirationPolicy = nil
		s.AckDeadlineSeconds = 10
	})
	require.NoError(t, want.Harm(have))
	require.Equal(t, []string{"kept for 1h0m0s → 7 days", "acknowledged messages are kept", "no expiry"}, want.KeepsLess(have))
	longer := as(want, func(s *pubsubpb.Subscription) { s.MessageRetentionDuration = durationpb.New(31 * 24 * time.Hour) })
	require.Empty(t, want.Differences(longer))
}

// What is made anew loses what it held: of the log that may be all that there is.
func TestWhatIsToBeMadeAnewIsEmptiedFirst(t *testing.T) {
	for first, want := range map[string]subscription.Wanted{
		"if the database is restored or is to be, first bring them back by `registry-worker replay --since TIME`": subscription.OfLog("the-log"),
		"first see to what it holds (`registry-worker dead-letters list`); then delete it":                        subscription.OfDeadLetters("letters"),
		"first let workers that run take what waits in it":                                                        subscription.Of("a.b"),
	} {
		require.ErrorContains(t, want.Fault(as(want, func(s *pubsubpb.Subscription) { s.Topic = "_deleted-topic_" })), first)
	}
}
