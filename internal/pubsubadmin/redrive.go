package pubsubadmin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/google/uuid"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/subscription"
)

// RedriveAttribute marks a message that was published again, with a name for
// the run that did it: one that is refused once more is thereby known, and is
// not published for ever.
const RedriveAttribute = "registry-redrive"

// RedriveOptions are the settings of Redrive.
type RedriveOptions struct {
	Idle     time.Duration       // Default: DefaultIdle
	Progress func(RedriveReport) // called after each batch; nil: not at all
}

// RedriveReport says what Redrive did.
type RedriveReport struct {
	Redriven int // published again, confirmed, and gone from the subscription
	Again    int // of those, refused again in the meantime; they wait as before
	Left     int // could not be published again; they wait as before
}

// Redrive publishes every dead letter of a subscription again, to the topic
// from which it came, as it was: without the attributes that dead-lettering
// added, and with RedriveAttribute. It is acknowledged once the topic has
// confirmed; if the process is killed in between it is published twice, which
// is harmless. Every subscription of that topic gets the message, not only the
// one that refused it.
//
// A dead letter that was truncated, or whose topic cannot be found, is left. The
// error tells why some were left, each distinct reason once. When ctx ends, the
// batch at hand is finished first.
func Redrive(ctx context.Context, client *pubsub.Client, subscription string, opts RedriveOptions) (RedriveReport, error) {
	r := redrive{
		client: client, run: uuid.NewString(), origins: map[string]string{},
		publishers: map[string]*pubsub.Publisher{}, faults: map[string]error{},
	}
	err := visit(ctx, client, subscription, cmp.Or(opts.Idle, DefaultIdle), func(batch []*pubsubpb.ReceivedMessage) (ack []string, stop bool) {
		ack = r.batch(context.WithoutCancel(ctx), batch)
		if opts.Progress != nil {
			opts.Progress(r.report)
		}
		return ack, false
	})
	for _, publisher := range r.publishers {
		publisher.Stop()
	}
	faults := []error{err}
	for _, text := range slices.Sorted(maps.Keys(r.faults)) {
		faults = append(faults, r.faults[text])
	}
	if err := errors.Join(faults...); err != nil {
		return r.report, fmt.Errorf("redrive: %w", err)
	}
	return r.report, nil
}

type redrive struct {
	client     *pubsub.Client
	run        string
	origins    map[string]string // topic by subscription
	publishers map[string]*pubsub.Publisher
	faults     map[string]error // by text
	report     RedriveReport
}

// batch publishes what can be published, and returns what the topics confirmed.
func (r *redrive) batch(ctx context.Context, batch []*pubsubpb.ReceivedMessage) (confirmed []string) {
	type sent struct {
		ackID  string
		result *pubsub.PublishResult
	}
	var all []sent
	for _, m := range batch {
		letter := parseDeadLetter(m.Message)
		if letter.Attributes[RedriveAttribute] == r.run {
			r.report.Again++
			continue
		}
		result, err := r.publish(ctx, letter)
		if err != nil {
			r.leave(err)
			continue
		}
		all = append(all, sent{m.AckId, result})
	}
	for _, s := range all {
		if _, err := s.result.Get(ctx); err != nil {
			r.leave(fmt.Errorf("publish: %w", err))
			continue
		}
		r.report.Redriven++
		confirmed = append(confirmed, s.ackID)
	}
	return confirmed
}

// leave notes why a dead letter stays, up to a bound on distinct reasons.
func (r *redrive) leave(err error) {
	const most = 20
	r.report.Left++
	if len(r.faults) < most {
		r.faults[err.Error()] = err
	}
}

func (r *redrive) publish(ctx context.Context, letter DeadLetter) (*pubsub.PublishResult, error) {
	if letter.Truncated {
		return nil, fmt.Errorf("message %s: it was too big to be kept whole; publish its event anew", letter.MessageID)
	}
	topic, err := r.origin(ctx, letter)
	if err != nil {
		return nil, err
	}
	letter.Attributes[RedriveAttribute] = r.run
	return r.publisher(topic).Publish(ctx, &pubsub.Message{Attributes: letter.Attributes, Data: letter.Data}), nil
}

// origin is the topic of the subscription that refused the message; if either
// does not exist any more, the one that the subscription's name, or else the
// event's type, stands for.
func (r *redrive) origin(ctx context.Context, letter DeadLetter) (string, error) {
	if topic := r.origins[letter.Subscription]; topic != "" {
		return topic, nil
	}
	if letter.Subscription != "" {
		request := &pubsubpb.GetSubscriptionRequest{Subscription: r.client.Subscriber(letter.Subscription).String()}
		if s, err := r.client.SubscriptionAdminClient.GetSubscription(ctx, request); err == nil && !subscription.TopicDeleted(s) {
			r.origins[letter.Subscription] = s.Topic
			return s.Topic, nil
		}
	}
	if topic := subscription.Of(letter.Subscription).Topic; topic != "" {
		return topic, nil
	}
	if topic := events.Type(letter.Attributes["ce-type"]).Topic(); topic != "" {
		return topic, nil
	}
	return "", fmt.Errorf("message %s: it is not known from which topic it came", letter.MessageID)
}

func (r *redrive) publisher(topic string) *pubsub.Publisher {
	publisher, ok := r.publishers[topic]
	if !ok {
		publisher = r.client.Publisher(topic)
		publisher.PublishSettings.Timeout = publishTimeout
		r.publishers[topic] = publisher
	}
	return publisher
}
