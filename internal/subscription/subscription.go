// Package subscription says what a Pub/Sub subscription must be, so that the
// worker gets every event and no dead letter is lost. It is one list for those
// who make subscriptions (pubsubadmin.Provision) and those who rely on them (the
// worker, at its start and from time to time). It is pure.
//
// What provision cannot put right is a fault, what it can is a difference. What
// loses messages, though all seems well, is a harm: every fault, and a
// dead-letter policy.
package subscription

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// The settings of subscriptions.
const (
	// AckDeadline is how long a message that was delivered stays away. The
	// worker's client sets its own, the worker's --lease, and extends it while
	// the worker lives.
	AckDeadline = 60 * time.Second
	// DeadLetterAckDeadline is that of the subscriptions of dead letters and of the
	// log. Only commands take from them, and extend it; short, so that what was sent
	// to a command that had just ended is soon to be seen.
	DeadLetterAckDeadline = 10 * time.Second
	// Retention is how long events are kept, acknowledged ones too, so that they
	// can be delivered again. A longer retention is left as it is.
	Retention = 7 * 24 * time.Hour
	// DeadLetterRetention is how long dead letters are kept, in their
	// subscription and in their topic: the longest that Pub/Sub has
	// (pubsub.proto, message_retention_duration: "Cannot be more than 31 days").
	DeadLetterRetention = 31 * 24 * time.Hour
	// LogRetention is how long the registry's log is kept, acknowledged or not, in
	// its subscription and in its topic: the longest that Pub/Sub has. A backup that
	// is older has a gap behind it.
	LogRetention = 31 * 24 * time.Hour
	// MinimumBackoff and MaximumBackoff are the retry policy: how long a nacked
	// message stays away.
	MinimumBackoff = 1 * time.Second
	MaximumBackoff = 60 * time.Second
)

// deletedTopic is what Pub/Sub gives as the topic of a subscription whose topic
// was deleted (pubsub.proto, Subscription.topic). A new topic of that name does
// not take its place.
const deletedTopic = "_deleted-topic_"

// TopicDeleted reports whether the subscription's topic was deleted.
func TopicDeleted(have *pubsubpb.Subscription) bool { return have.Topic == deletedTopic }

// Wanted is a subscription as it should be.
type Wanted struct {
	Name  string // short
	Topic string // short; empty if it is not known: any will do
	// DeadLetters is for the one in which dead letters wait, and only people
	// take from.
	DeadLetters bool
	// Log is for the one that keeps the registry's log, which no worker consumes:
	// only `replay --since` takes from it.
	Log bool
	// NoRetryPolicy leaves the retry policy out. For the emulator: with one, it
	// keeps messages that a worker held when it ended to itself for minutes, and
	// takes time with the square of their number (measured).
	NoRetryPolicy bool
}

// Of returns what is wanted of the subscription of events that has this name,
// short or in full: {topic}.{consumer} (design §8). The topic of another name is
// not known.
func Of(name string) Wanted {
	w := Wanted{Name: Short(name)}
	if topic, consumer, ok := strings.Cut(w.Name, "."); ok && topic != "" && consumer != "" {
		w.Topic = topic
	}
	return w
}

// OfDeadLetters returns what is wanted of the subscription in which the letters
// of a topic wait. It has the topic's name.
func OfDeadLetters(topic string) Wanted {
	return Wanted{Name: Short(topic), Topic: Short(topic), DeadLetters: true}
}

// OfLog returns what is wanted of the subscription that keeps the registry's log. It has
// the topic's name.
func OfLog(topic string) Wanted {
	return Wanted{Name: Short(topic), Topic: Short(topic), Log: true}
}

// Replayed reports whether it is set back to earlier times by `replay --since`, so that
// it matters since when it keeps messages.
func (w Wanted) Replayed() bool { return !w.DeadLetters }

// TopicRetention is how long the topic itself should keep messages, so that a
// subscription that was deleted and is made again can be sought back; 0: not at all.
func (w Wanted) TopicRetention() time.Duration {
	switch {
	case w.DeadLetters:
		return DeadLetterRetention
	case w.Log:
		return LogRetention
	}
	return 0
}

// Short is the last part of the full name of a topic or subscription.
func Short(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// Settings are those that the subscription should have, without its names.
func (w Wanted) Settings() *pubsubpb.Subscription {
	s := &pubsubpb.Subscription{
		AckDeadlineSeconds:       int32(AckDeadline.Seconds()),
		MessageRetentionDuration: durationpb.New(Retention),
		ExpirationPolicy:         &pubsubpb.ExpirationPolicy{}, // without a TTL: never
	}
	if w.DeadLetters {
		s.AckDeadlineSeconds = int32(DeadLetterAckDeadline.Seconds())
		s.MessageRetentionDuration = durationpb.New(DeadLetterRetention)
		return s
	}
	s.RetainAckedMessages = true
	if w.Log {
		s.AckDeadlineSeconds = int32(DeadLetterAckDeadline.Seconds())
		s.MessageRetentionDuration = durationpb.New(LogRetention)
		return s
	}
	if !w.NoRetryPolicy {
		s.RetryPolicy = &pubsubpb.RetryPolicy{
			MinimumBackoff: durationpb.New(MinimumBackoff),
			MaximumBackoff: durationpb.New(MaximumBackoff),
		}
	}
	return s
}

// Fault returns why no worker can get published messages from the subscription, and
// what to do about it, or nil. Topics compare by their short names: the topic may
// well be another project's.
func (w Wanted) Fault(have *pubsubpb.Subscription) error {
	anew := w.first() + "delete it (gcloud pubsub subscriptions delete " + have.Name + ") and run `registry-worker provision`, which creates it anew (what it holds is lost)"
	switch {
	case TopicDeleted(have):
		return errors.New("its topic was deleted, and what is published to a new one of that name does not reach it; " + anew)
	case w.Topic != "" && Short(have.Topic) != w.Topic:
		return fmt.Errorf("it is a subscription of %s, and not of %s; %s", have.Topic, w.Topic, anew)
	case have.Detached:
		return errors.New("it is detached from its topic; " + anew)
	case have.PushConfig.GetPushEndpoint() != "" || have.BigqueryConfig != nil || have.CloudStorageConfig != nil:
		return errors.New("its messages are pushed elsewhere, and cannot be pulled; make it a pull subscription")
	case have.Filter != "":
		return fmt.Errorf("it has a filter (%s), which hides messages and cannot be changed; %s", have.Filter, anew)
	case len(have.MessageTransforms) > 0:
		return errors.New("it has message transforms, which change or hide messages; take them away")
	}
	return nil
}

// first says what to do before it is made anew, since what it holds is lost with it.
func (w Wanted) first() string {
	switch {
	case w.Log:
		return "it still holds claims, retractions and operators' moves that may be nowhere else: if the database is restored or is to be, first bring them back by `registry-worker replay --since TIME` (docs/recovery.md#a-topic-or-a-subscription-is-gone); then "
	case w.DeadLetters:
		return "first see to what it holds (`registry-worker dead-letters list`); then "
	}
	return "first let workers that run take what waits in it (one that starts refuses it; `registry-worker doctor` says when nothing waits); then "
}

// Difference is a setting that an update puts right.
type Difference struct{ Field, Text string } // of Pub/Sub's Subscription; what changes

// Fields of which the emulator takes less than the service: it sets an expiration
// policy and labels at creation only, and keeps messages for at most Retention.
const (
	ExpirationField = "expiration_policy"
	RetentionField  = "message_retention_duration"
	LabelsField     = "labels"
)

// RetainField has a subscription keep messages that were acknowledged.
const RetainField = "retain_acked_messages"

// Labelled is the difference of LabelsField, in words.
const Labelled = "a label says since when"

// Differences returns what should be otherwise.
func (w Wanted) Differences(have *pubsubpb.Subscription) (all []Difference) {
	want := w.Settings()
	add := func(differs bool, field, text string) {
		if differs {
			all = append(all, Difference{field, text})
		}
	}
	kept, keep := have.MessageRetentionDuration.AsDuration(), want.MessageRetentionDuration.AsDuration()
	add(have.AckDeadlineSeconds != want.AckDeadlineSeconds, "ack_deadline_seconds",
		fmt.Sprintf("ack deadline %ds → %ds", have.AckDeadlineSeconds, want.AckDeadlineSeconds))
	add(kept < keep, RetentionField, fmt.Sprintf("kept for %s → %s", Days(kept), Days(keep)))
	add(want.RetainAckedMessages && !have.RetainAckedMessages, RetainField, "acknowledged messages are kept")
	add(have.ExpirationPolicy == nil || have.ExpirationPolicy.Ttl != nil, ExpirationField, "no expiry")
	add(!proto.Equal(have.RetryPolicy, want.RetryPolicy), "retry_policy", retryText(want))
	add(have.DeadLetterPolicy != nil, "dead_letter_policy", "no dead-letter policy")
	more := kept < keep || want.RetainAckedMessages && !have.RetainAckedMessages
	add(w.Replayed() && (more || !IsLabelled(have.Labels)), LabelsField, Labelled)
	return all
}

// KeepsLess returns the differences that make it keep messages for a shorter time
// than Retention: no harm while all goes well.
func (w Wanted) KeepsLess(have *pubsubpb.Subscription) (texts []string) {
	for _, d := range w.Differences(have) {
		switch d.Field {
		case RetentionField:
			if have.MessageRetentionDuration.AsDuration() >= Retention {
				continue
			}
		case RetainField, ExpirationField:
		default:
			continue
		}
		texts = append(texts, d.Text)
	}
	return texts
}

// Harm returns why messages would be lost to those who rely on the subscription
// as it is, and what to do about it, or nil: its Fault, or the one difference
// that does harm.
func (w Wanted) Harm(have *pubsubpb.Subscription) error {
	if err := w.Fault(have); err != nil {
		return err
	}
	if have.DeadLetterPolicy != nil {
		return errors.New("it has a dead-letter policy of Pub/Sub's own, which takes good messages away in a long outage; `registry-worker provision` removes it")
	}
	return nil
}

// Describe says the settings in words.
func (w Wanted) Describe() string {
	if w.DeadLetters {
		return fmt.Sprintf("of topic %s, kept for %s (the longest that Pub/Sub has; its emulator keeps %s), no expiry",
			w.Topic, Days(DeadLetterRetention), Days(Retention))
	}
	if w.Log {
		return fmt.Sprintf("of topic %s, kept for %s even when acknowledged (the longest that Pub/Sub has; its emulator keeps %s), no expiry",
			w.Topic, Days(LogRetention), Days(Retention))
	}
	backoff := fmt.Sprintf("backoff %s to %s", MinimumBackoff, MaximumBackoff)
	if w.NoRetryPolicy {
		backoff = "no backoff, for the emulator's sake"
	}
	return fmt.Sprintf("of topic %s, ack deadline %s, %s, kept for %s even when acknowledged, no expiry",
		w.Topic, AckDeadline, backoff, Days(Retention))
}

// Days writes a duration in days if it is a number of them.
func Days(d time.Duration) string {
	if d == 0 || d%(24*time.Hour) != 0 {
		return d.String()
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

func retryText(want *pubsubpb.Subscription) string {
	if want.RetryPolicy == nil {
		return "no retry policy"
	}
	return fmt.Sprintf("backoff %s to %s", MinimumBackoff, MaximumBackoff)
}
