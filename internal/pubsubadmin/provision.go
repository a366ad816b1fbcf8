package pubsubadmin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// What Provision gives to subscriptions.
const (
	// AckDeadline is how long a message that was delivered stays away. The
	// worker's client sets its own, the worker's --lease, and extends it while
	// the worker lives.
	AckDeadline = 60 * time.Second
	// DeadLetterAckDeadline is that of the subscription in which dead letters
	// wait. Only listing and redriving take from it, and extend it; short, so
	// that what was sent to a listing that had just ended is soon to be seen.
	DeadLetterAckDeadline = 10 * time.Second
	// Retention is how long messages are kept, acknowledged ones too, so that
	// Rewind finds them. Pub/Sub allows up to 31 days; a longer retention that
	// somebody has set is kept.
	Retention = 7 * 24 * time.Hour
	// MinimumBackoff and MaximumBackoff are the retry policy: how long a nacked
	// message stays away.
	MinimumBackoff = 1 * time.Second
	MaximumBackoff = 60 * time.Second
)

// ProvisionOptions say what is to exist.
type ProvisionOptions struct {
	// Subscriptions, each named {topic}.{consumer}; their topics are created
	// too.
	Subscriptions []string
	// DeadLetterTopic gets a subscription of the same name, in which dead
	// letters wait.
	DeadLetterTopic string
	// NoRetryPolicy leaves the retry policy out. For the emulator: with one, it
	// keeps messages that a worker held when it ended to itself for minutes, and
	// takes time with the square of their number (measured).
	NoRetryPolicy bool
	// DryRun plans and changes nothing.
	DryRun bool
}

// Verb is what Provision does to a topic or subscription.
type Verb string

// The verbs.
const (
	Keep   Verb = "keep" // it is as it should be
	Create Verb = "create"
	Update Verb = "update"
)

// Action is one step of provisioning, done or (DryRun) planned.
type Action struct {
	Verb   Verb
	Kind   string // "topic" or "subscription"
	Name   string // short
	Detail string // Create: the settings; Update: what differed; else ""
}

func (a Action) String() string {
	s := fmt.Sprintf("%-6s %s %s", a.Verb, a.Kind, a.Name)
	if a.Detail != "" {
		s += ": " + a.Detail
	}
	return s
}

// Provision creates the topics and subscriptions that do not exist, and brings
// the settings of subscriptions that do to what the worker needs: AckDeadline, a
// retry policy, Retention of acknowledged messages, no expiry, and no dead-letter
// policy of Pub/Sub's own, which would give up on good events in a long outage.
// Repeating it is harmless.
//
// What cannot be changed is an error: a subscription of another topic, one that
// pushes, one with a filter. Everything else is done all the same, and the error
// lists all faults; the actions are those that succeeded, or would.
func Provision(ctx context.Context, client *pubsub.Client, opts ProvisionOptions) ([]Action, error) {
	wanted, err := opts.plan()
	if err != nil {
		return nil, err
	}
	var (
		actions []Action
		faults  []error
	)
	done := map[string]bool{} // topics
	for _, want := range wanted {
		for _, step := range []func() (Action, error){
			func() (Action, error) { return provisionTopic(ctx, client, want.topic, opts.DryRun) },
			func() (Action, error) { return provisionSubscription(ctx, client, want, opts.DryRun) },
		} {
			action, err := step()
			if err != nil {
				faults = append(faults, err)
				continue
			}
			if key := action.Kind + " " + action.Name; !done[key] {
				done[key] = true
				actions = append(actions, action)
			}
		}
	}
	return actions, errors.Join(faults...)
}

// wanted is a subscription that should exist, and its topic. Its settings
// differ for the one in which dead letters wait.
type wanted struct {
	topic, subscription string
	deadLetters         bool
	noRetryPolicy       bool
}

func (o ProvisionOptions) plan() ([]wanted, error) {
	var (
		all    []wanted
		faults []error
	)
	for _, name := range o.Subscriptions {
		topic, err := topicOfSubscription(name)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		all = append(all, wanted{topic: topic, subscription: shortName(name), noRetryPolicy: o.NoRetryPolicy})
	}
	if o.DeadLetterTopic == "" {
		faults = append(faults, errors.New("no dead-letter topic is given"))
	}
	name := shortName(o.DeadLetterTopic)
	all = append(all, wanted{topic: name, subscription: name, deadLetters: true})
	return all, errors.Join(faults...)
}

func provisionTopic(ctx context.Context, client *pubsub.Client, name string, dryRun bool) (Action, error) {
	action := Action{Verb: Keep, Kind: "topic", Name: name}
	full := client.Publisher(name).String()
	_, err := client.TopicAdminClient.GetTopic(ctx, &pubsubpb.GetTopicRequest{Topic: full}, once)
	if status.Code(err) == codes.NotFound {
		action.Verb = Create
		err = nil
		if !dryRun {
			_, err = client.TopicAdminClient.CreateTopic(ctx, &pubsubpb.Topic{Name: full})
			if status.Code(err) == codes.AlreadyExists { // somebody was faster
				err = nil
			}
		}
	}
	if err != nil {
		return Action{}, fmt.Errorf("provision topic %s: %w", name, err)
	}
	return action, nil
}

func provisionSubscription(ctx context.Context, client *pubsub.Client, want wanted, dryRun bool) (Action, error) {
	action := Action{Verb: Keep, Kind: "subscription", Name: want.subscription}
	target := want.settings(client)
	have, err := client.SubscriptionAdminClient.GetSubscription(ctx, &pubsubpb.GetSubscriptionRequest{Subscription: target.Name}, once)
	if status.Code(err) == codes.NotFound {
		action.Verb, action.Detail = Create, want.describe()
		if dryRun {
			return action, nil
		}
		_, err = client.SubscriptionAdminClient.CreateSubscription(ctx, target)
		if status.Code(err) != codes.AlreadyExists {
			return action, wrap(action, err)
		}
		// Somebody was faster: see what they have made.
		action = Action{Verb: Keep, Kind: action.Kind, Name: action.Name}
		have, err = client.SubscriptionAdminClient.GetSubscription(ctx, &pubsubpb.GetSubscriptionRequest{Subscription: target.Name})
	}
	if err != nil {
		return action, wrap(action, err)
	}
	if err := unchangeable(have, target); err != nil {
		return action, wrap(action, err)
	}
	changes := differences(have, target)
	if len(changes) == 0 {
		return action, nil
	}
	action.Verb = Update
	if dryRun {
		action.Detail = describeAll(changes)
		return action, nil
	}
	err = update(ctx, client, target, changes)
	if status.Code(err) == codes.InvalidArgument {
		// The emulator can set an expiration policy at creation only.
		changes = slices.DeleteFunc(changes, func(d difference) bool { return d.field == expirationPolicy })
		err = update(ctx, client, target, changes)
	}
	action.Detail = describeAll(changes)
	return action, wrap(action, err)
}

func update(ctx context.Context, client *pubsub.Client, target *pubsubpb.Subscription, changes []difference) error {
	if len(changes) == 0 {
		return nil
	}
	mask := &fieldmaskpb.FieldMask{}
	for _, change := range changes {
		mask.Paths = append(mask.Paths, change.field)
	}
	_, err := client.SubscriptionAdminClient.UpdateSubscription(ctx, &pubsubpb.UpdateSubscriptionRequest{
		Subscription: target, UpdateMask: mask,
	})
	return err
}

func describeAll(changes []difference) string {
	texts := make([]string, len(changes))
	for i, change := range changes {
		texts[i] = change.text
	}
	return strings.Join(texts, ", ")
}

func wrap(a Action, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("provision subscription %s: %w", a.Name, err)
}

// settings are those of the subscription as it should be.
func (w wanted) settings(client *pubsub.Client) *pubsubpb.Subscription {
	s := &pubsubpb.Subscription{
		Name:                     client.Subscriber(w.subscription).String(),
		Topic:                    client.Publisher(w.topic).String(),
		AckDeadlineSeconds:       int32(AckDeadline.Seconds()),
		MessageRetentionDuration: durationpb.New(Retention),
		ExpirationPolicy:         &pubsubpb.ExpirationPolicy{}, // without a TTL: never
	}
	if w.deadLetters {
		s.AckDeadlineSeconds = int32(DeadLetterAckDeadline.Seconds())
	} else {
		s.RetainAckedMessages = true
		if !w.noRetryPolicy {
			s.RetryPolicy = &pubsubpb.RetryPolicy{
				MinimumBackoff: durationpb.New(MinimumBackoff),
				MaximumBackoff: durationpb.New(MaximumBackoff),
			}
		}
	}
	return s
}

func (w wanted) describe() string {
	if w.deadLetters {
		return fmt.Sprintf("of topic %s, kept for %s, no expiry", w.topic, days(Retention))
	}
	backoff := fmt.Sprintf("backoff %s to %s", MinimumBackoff, MaximumBackoff)
	if w.noRetryPolicy {
		backoff = "no backoff, for the emulator's sake"
	}
	return fmt.Sprintf("of topic %s, ack deadline %s, %s, kept for %s even when acknowledged, no expiry",
		w.topic, AckDeadline, backoff, days(Retention))
}

func days(d time.Duration) string {
	if d%(24*time.Hour) != 0 {
		return d.String()
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

func unchangeable(have, want *pubsubpb.Subscription) error {
	switch {
	case have.Topic == "_deleted-topic_":
		return errors.New("its topic was deleted; delete the subscription, so that it can be created anew")
	case have.Topic != want.Topic:
		return fmt.Errorf("it is a subscription of %s, and not of %s", have.Topic, want.Topic)
	case have.PushConfig.GetPushEndpoint() != "" || have.BigqueryConfig != nil || have.CloudStorageConfig != nil:
		return errors.New("its messages are pushed elsewhere, so a worker cannot pull them")
	case have.Filter != "":
		return fmt.Errorf("it has a filter (%s), which hides events from the worker and cannot be changed", have.Filter)
	}
	return nil
}

// difference is a setting that must be changed.
type difference struct{ field, text string }

const expirationPolicy = "expiration_policy"

func differences(have, want *pubsubpb.Subscription) (all []difference) {
	add := func(differs bool, field, text string) {
		if differs {
			all = append(all, difference{field, text})
		}
	}
	kept := have.MessageRetentionDuration.AsDuration()
	add(have.AckDeadlineSeconds != want.AckDeadlineSeconds, "ack_deadline_seconds",
		fmt.Sprintf("ack deadline %ds → %ds", have.AckDeadlineSeconds, want.AckDeadlineSeconds))
	add(kept < want.MessageRetentionDuration.AsDuration(), "message_retention_duration",
		fmt.Sprintf("kept for %s → %s", days(kept), days(Retention)))
	add(want.RetainAckedMessages && !have.RetainAckedMessages, "retain_acked_messages", "acknowledged messages are kept")
	add(have.ExpirationPolicy == nil || have.ExpirationPolicy.Ttl != nil, expirationPolicy, "no expiry")
	add(!proto.Equal(have.RetryPolicy, want.RetryPolicy), "retry_policy", retryText(want))
	add(have.DeadLetterPolicy != nil, "dead_letter_policy", "no dead-letter policy")
	return all
}

func retryText(want *pubsubpb.Subscription) string {
	if want.RetryPolicy == nil {
		return "no retry policy"
	}
	return fmt.Sprintf("backoff %s to %s", MinimumBackoff, MaximumBackoff)
}
