package subscription

import (
	"fmt"
	"maps"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
)

// Labels that say since when a topic or a subscription keeps what is published. Pub/Sub
// stores no time of creation (pubsub.proto, Topic and Subscription have none), and a
// seek to a time before it is no error, so one that was deleted and made again looks
// like one to which nothing was published. Their values are of the form labelTime.
const (
	// KeepsSinceLabel is for one whose creation was seen: what was published earlier is
	// not in it.
	KeepsSinceLabel = "registry-keeps-since"
	// SeenLabel is for one that was there already when provision first saw it: what was
	// published earlier may be in it.
	SeenLabel = "registry-seen-at"
)

// labelTime is a time in UTC of the characters that values of labels have
// (https://cloud.google.com/pubsub/docs/labels: lower case, digits, _ and -).
const labelTime = "20060102t150405z"

// MadeLabels are the labels of what is made now.
func MadeLabels(now time.Time) map[string]string {
	return map[string]string{KeepsSinceLabel: labelText(now)}
}

// MoreKept returns the labels of what exists and is to keep more from now on: had is how
// long it has kept messages, 0 for not at all. What it has let go does not come back.
func MoreKept(labels map[string]string, had time.Duration, now time.Time) map[string]string {
	labels = Seen(labels, now)
	from := now.Add(-had)
	if since := labelled(labels, KeepsSinceLabel); since.Before(from) {
		labels[KeepsSinceLabel] = labelText(from)
	}
	return labels
}

// Seen returns the labels of what exists: those that it has, and since when it is known
// if none of them says it.
func Seen(labels map[string]string, now time.Time) map[string]string {
	labels = maps.Clone(labels)
	if labels == nil {
		labels = map[string]string{}
	}
	if !IsLabelled(labels) {
		labels[SeenLabel] = labelText(now)
	}
	return labels
}

// IsLabelled reports whether labels say since when messages are kept.
func IsLabelled(labels map[string]string) bool {
	return !labelled(labels, KeepsSinceLabel).IsZero() || !labelled(labels, SeenLabel).IsZero()
}

func labelText(t time.Time) string { return t.UTC().Format(labelTime) }

// labelled is the time that a label says; zero if it says none.
func labelled(labels map[string]string, key string) time.Time {
	t, err := time.Parse(labelTime, labels[key])
	if err != nil {
		return time.Time{}
	}
	return t
}

// Reach is how far back in time a subscription can be set with nothing missing.
type Reach struct {
	// All of what was published from Certain on is kept.
	Certain time.Time
	// What was published before Gone is not kept: the zero time if that is not known of
	// anything. It is Certain or earlier; of what is between, nothing is known.
	Gone time.Time
	// Why says why nothing from before Gone is kept.
	Why string
	// Detached: its topic was deleted, so that nothing new reaches it.
	Detached bool
}

// ReachOf returns how far back a subscription reaches now: by what it keeps itself, or by
// what its topic keeps, which is there for all its subscriptions, those that were made
// later too (pubsub.proto, topic_message_retention_duration: "always available to
// subscribers"). topic is nil if it is gone, or these credentials may not look at it.
func ReachOf(have *pubsubpb.Subscription, topic *pubsubpb.Topic, now time.Time) Reach {
	own := Reach{Certain: now, Gone: now, Why: "it keeps no message that was acknowledged"}
	if have.RetainAckedMessages {
		own = reach(have.Labels, have.MessageRetentionDuration.AsDuration(), now)
	}
	keep := max(have.TopicMessageRetentionDuration.AsDuration(), topic.GetMessageRetentionDuration().AsDuration())
	if keep == 0 || TopicDeleted(have) {
		return own
	}
	of := reach(topic.GetLabels(), keep, now)
	if of.Gone.Before(own.Gone) {
		own.Gone, own.Why = of.Gone, "its topic: "+of.Why
	}
	if of.Certain.Before(own.Certain) {
		own.Certain = of.Certain
	}
	return own
}

// reach is that of what has labels and keeps messages for a time.
func reach(labels map[string]string, keep time.Duration, now time.Time) Reach {
	oldest, since, seen := now.Add(-keep), labelled(labels, KeepsSinceLabel), labelled(labels, SeenLabel)
	r := Reach{Certain: now, Gone: oldest, Why: "it keeps messages for " + Days(keep)}
	if since.After(oldest) {
		r.Gone, r.Why = since, fmt.Sprintf("it was made, or told to keep as much, at %s", since.Format(time.RFC3339))
	}
	switch {
	case !seen.IsZero():
		r.Certain = later(seen, r.Gone)
	case !since.IsZero():
		r.Certain = r.Gone
	}
	return r
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
