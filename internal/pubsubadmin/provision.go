package pubsubadmin

import (
	"cmp"
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
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/northstar-engines/realtime-registry/internal/subscription"
)

// ProvisionOptions say what must exist.
type ProvisionOptions struct {
	// Subscriptions, each named {topic}.{consumer}; their topics are created
	// too.
	Subscriptions []string
	// DeadLetterTopic gets a subscription of the same name, in which dead
	// letters wait.
	DeadLetterTopic string
	// LogTopic is that of the registry's log, and gets a subscription of the same
	// name, which keeps it; "": there is none.
	LogTopic string
	// NoRetryPolicy leaves the retry policy out. It is for the emulator, which with
	// a retry policy keeps the messages of a worker that has ended for minutes, and
	// takes time that grows with the square of their number (measured).
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
// the settings of those that do to what the worker needs (package subscription):
// an ack deadline, a retry policy, retention of acknowledged messages, no expiry,
// and no dead-letter policy of Pub/Sub's own, which would give up on good events
// in a long outage. Dead letters and the log are kept for
// subscription.DeadLetterRetention and LogRetention, by their topics too, so that a
// subscription that was deleted and is made again can be sought back. Repeating it is
// harmless.
//
// What cannot be changed is an error (subscription.Wanted.Fault): nothing is
// created for it, least of all a topic whose messages would reach no one.
// Everything else is still done, the dead letters' part first, and the error lists
// all faults; the actions are those that succeeded, or would.
func Provision(ctx context.Context, client *pubsub.Client, opts ProvisionOptions) ([]Action, error) {
	wanted, err := opts.plan()
	if err != nil {
		return nil, err
	}
	p := provisioning{client: client, dryRun: opts.DryRun, done: map[string]bool{}}
	var faults []error
	for _, want := range wanted {
		faults = append(faults, p.provision(ctx, want))
	}
	return p.actions, errors.Join(faults...)
}

// plan returns the subscriptions that are wanted. Dead letters come first: before a
// worker can refuse a message there must be somewhere to keep it.
func (o ProvisionOptions) plan() ([]subscription.Wanted, error) {
	var faults []error
	if o.DeadLetterTopic == "" {
		faults = append(faults, errors.New("no dead-letter topic is given"))
	}
	all := []subscription.Wanted{subscription.OfDeadLetters(o.DeadLetterTopic)}
	if o.LogTopic != "" {
		all = append(all, subscription.OfLog(o.LogTopic))
	}
	for _, name := range o.Subscriptions {
		want := subscription.Of(name)
		if want.Topic == "" {
			faults = append(faults, fmt.Errorf("subscription %s: its name is not {topic}.{consumer}, so its topic is not known", name))
			continue
		}
		want.NoRetryPolicy = o.NoRetryPolicy
		all = append(all, want)
	}
	return all, errors.Join(faults...)
}

// provisioning is one call of Provision.
type provisioning struct {
	client  *pubsub.Client
	dryRun  bool
	actions []Action
	done    map[string]bool // topics, by short name
}

func (p *provisioning) did(a Action) { p.actions = append(p.actions, a) }

// provision sees to a subscription and its topic. It looks at the subscription
// first: if its topic was deleted, a new topic would take messages that reach no
// one.
func (p *provisioning) provision(ctx context.Context, want subscription.Wanted) error {
	have, err := p.look(ctx, want)
	if err != nil {
		return fmt.Errorf("provision subscription %s: %w", want.Name, err)
	}
	created, err := p.topic(ctx, want, have)
	if err != nil {
		return fmt.Errorf("provision topic %s: %w", want.Topic, err)
	}
	if have == nil {
		err = p.create(ctx, want, created)
	} else {
		err = p.update(ctx, want, have)
	}
	if err != nil {
		return fmt.Errorf("provision subscription %s: %w", want.Name, err)
	}
	return nil
}

// look returns the subscription, nil if it does not exist, and an error if
// it is of no use.
func (p *provisioning) look(ctx context.Context, want subscription.Wanted) (*pubsubpb.Subscription, error) {
	request := &pubsubpb.GetSubscriptionRequest{Subscription: p.client.Subscriber(want.Name).String()}
	have, err := p.client.SubscriptionAdminClient.GetSubscription(ctx, request, once)
	switch {
	case status.Code(err) == codes.NotFound:
		return nil, nil
	case err != nil:
		return nil, err
	}
	return have, want.Fault(have)
}

// create makes a subscription. If its topic keeps messages and has existed before it,
// the action says how to get at those from before.
func (p *provisioning) create(ctx context.Context, want subscription.Wanted, newTopic bool) error {
	action := Action{Verb: Create, Kind: "subscription", Name: want.Name, Detail: want.Describe()}
	if want.TopicRetention() > 0 && !newTopic {
		action.Detail += fmt.Sprintf("; what the topic took before it: `gcloud pubsub subscriptions seek %s --time=TIME`", want.Name)
	}
	if p.dryRun {
		p.did(action)
		return nil
	}
	target := p.settings(want)
	if want.Replayed() {
		target.Labels = subscription.MadeLabels(time.Now())
	}
	_, err := p.client.SubscriptionAdminClient.CreateSubscription(ctx, target)
	if status.Code(err) == codes.InvalidArgument && want.TopicRetention() > 0 { // the emulator keeps nothing as long
		target.MessageRetentionDuration = durationpb.New(subscription.Retention)
		_, err = p.client.SubscriptionAdminClient.CreateSubscription(ctx, target)
	}
	if status.Code(err) == codes.AlreadyExists { // another process was faster: see what it has made
		have, err := p.look(ctx, want)
		if err != nil || have == nil {
			return cmp.Or(err, errors.New("it comes and goes"))
		}
		return p.update(ctx, want, have)
	}
	if err != nil {
		return err
	}
	p.did(action)
	return nil
}

// update brings the settings of a subscription that exists to what is wanted.
func (p *provisioning) update(ctx context.Context, want subscription.Wanted, have *pubsubpb.Subscription) error {
	action := Action{Verb: Keep, Kind: "subscription", Name: want.Name}
	changes := want.Differences(have)
	if len(changes) == 0 {
		p.did(action)
		return nil
	}
	action.Verb = Update
	if !p.dryRun {
		err := p.change(ctx, want, have, changes)
		if status.Code(err) == codes.InvalidArgument {
			changes = slices.DeleteFunc(changes, func(d subscription.Difference) bool {
				return d.Field == subscription.ExpirationField || d.Field == subscription.LabelsField || want.TopicRetention() > 0 && d.Field == subscription.RetentionField
			})
			err = p.change(ctx, want, have, changes)
		}
		if err != nil {
			return err
		}
		if len(changes) == 0 { // on the emulator, which supports none of them
			action.Verb = Keep
		}
	}
	texts := make([]string, len(changes))
	for i, change := range changes {
		texts[i] = change.Text
	}
	action.Detail = strings.Join(texts, ", ")
	p.did(action)
	return nil
}

func (p *provisioning) change(ctx context.Context, want subscription.Wanted, have *pubsubpb.Subscription, changes []subscription.Difference) error {
	if len(changes) == 0 {
		return nil
	}
	target, mask := p.settings(want), &fieldmaskpb.FieldMask{}
	for _, change := range changes {
		mask.Paths = append(mask.Paths, change.Field)
	}
	target.Labels = labels(have, mask.Paths, time.Now()) // of which the mask decides
	_, err := p.client.SubscriptionAdminClient.UpdateSubscription(ctx, &pubsubpb.UpdateSubscriptionRequest{Subscription: target, UpdateMask: mask})
	return err
}

// labels are those of a subscription of which fields change.
func labels(have *pubsubpb.Subscription, fields []string, now time.Time) map[string]string {
	switch {
	case slices.Contains(fields, subscription.RetainField):
		return subscription.MoreKept(have.Labels, 0, now)
	case slices.Contains(fields, subscription.RetentionField):
		return subscription.MoreKept(have.Labels, have.MessageRetentionDuration.AsDuration(), now)
	}
	return subscription.Seen(have.Labels, now)
}

// settings returns the settings that the subscription should have, with full names.
func (p *provisioning) settings(want subscription.Wanted) *pubsubpb.Subscription {
	s := want.Settings()
	s.Name, s.Topic = p.client.Subscriber(want.Name).String(), p.client.Publisher(want.Topic).String()
	return s
}
