package pubsubadmin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/google/uuid"

	"github.com/northstar-engines/realtime-registry/internal/consumer"
	"github.com/northstar-engines/realtime-registry/internal/subscription"
)

// DefaultMaxRedrives is the default of RedriveOptions.MaxRedrives. What was refused
// four times is refused for what it is, not for what was wrong around it.
const DefaultMaxRedrives = 3

// RedriveOptions are the settings of Redrive.
type RedriveOptions struct {
	Selection
	// To are the short names of the subscriptions that letters may have come from.
	// A letter names its own, and to what is published there a move may belong:
	// one that names another is left.
	To []string
	// MaxRedrives is how often a letter is published again; then it is left.
	// Default: DefaultMaxRedrives.
	MaxRedrives int
	By          string // who does it; it is noted in the message
	DryRun      bool   // publishes nothing
	// Each is called for each selected letter, after it was published again, or
	// would be: left is why it was not. It may be nil.
	Each func(l DeadLetter, topic string, left error)
	// Progress is called after each batch. It may be nil.
	Progress func(RedriveReport)
}

// RedriveReport says what Redrive did.
type RedriveReport struct {
	Tally         // of those that were published again, confirmed, and are gone from the subscription
	Again     int // of those, refused again in the meantime; they wait as before
	Exhausted int // were published again MaxRedrives times before; they wait as before
	Left      int // could not be published again; they wait as before
}

// Redrive publishes the selected dead letters again, to the topics from which they
// came, as they were: without the attributes that dead-lettering added, and with
// those that note the redrive. A letter is acknowledged once the topic has
// confirmed; if the process is killed in between it is published twice, which is
// harmless. Every subscription of that topic gets the message, not only the one
// that refused it.
//
// A dead letter that was truncated, or whose topic cannot be found, is left, and
// so is one that was redriven MaxRedrives times. The error says why some could not
// be published, each distinct reason once. When ctx ends, the batch at hand is
// finished first.
func Redrive(ctx context.Context, client *pubsub.Client, subscription string, opts RedriveOptions) (RedriveReport, error) {
	opts.MaxRedrives = cmp.Or(opts.MaxRedrives, DefaultMaxRedrives)
	r := redrive{
		client: client, opts: opts, run: uuid.NewString(), origins: map[string]string{},
		publishers: map[string]*pubsub.Publisher{}, faults: map[string]error{},
	}
	extent, err := opts.visit(ctx, client, subscription, r.passesOver, func(batch []leased) ([]string, error) {
		ack := r.batch(context.WithoutCancel(ctx), batch)
		if opts.Progress != nil {
			opts.Progress(r.sum(Extent{}))
		}
		return ack, nil
	})
	for _, publisher := range r.publishers {
		publisher.Stop()
	}
	faults := []error{err}
	for _, text := range slices.Sorted(maps.Keys(r.faults)) {
		faults = append(faults, r.faults[text])
	}
	if err = errors.Join(faults...); err != nil {
		err = fmt.Errorf("redrive: %w", err)
	}
	return r.sum(extent), err
}

type redrive struct {
	client     *pubsub.Client
	opts       RedriveOptions
	run        string
	origins    map[string]string // topic by subscription, "" if it has none
	publishers map[string]*pubsub.Publisher
	faults     map[string]error // by text
	counting   counting
	report     RedriveReport
}

func (r *redrive) sum(extent Extent) RedriveReport {
	report := r.report
	report.Tally = r.counting.tally(extent)
	return report
}

// passesOver reports whether the letter is to stay: this run has published it
// already, or it was published again often enough, or cannot be. It counts the
// selected ones.
func (r *redrive) passesOver(l DeadLetter) bool {
	switch {
	case l.Attributes[consumer.RedriveAttribute] == r.run:
		r.report.Again++
		return true
	case !r.opts.Matches(l):
		return false // the question did not count it
	case l.Redrives >= r.opts.MaxRedrives:
		r.report.Exhausted++
		r.each(l, "", fmt.Errorf("published again %d times before, and refused each time", l.Redrives))
		return true
	}
	_, err := r.topic(l)
	if err != nil {
		r.leave(l, "", err)
	}
	return err != nil
}

// batch publishes letters, and returns what the topics confirmed.
func (r *redrive) batch(ctx context.Context, batch []leased) (confirmed []string) {
	results := make([]*pubsub.PublishResult, len(batch))
	topics := make([]string, len(batch))
	for i, l := range batch {
		topics[i], _ = r.topic(l.letter) // passesOver has found it
		if !r.opts.DryRun {
			results[i] = r.publish(ctx, l.letter, topics[i])
		}
	}
	for i, l := range batch {
		if result := results[i]; result != nil {
			if _, err := result.Get(ctx); err != nil {
				r.leave(l.letter, topics[i], fmt.Errorf("publish: %w", err))
				continue
			}
			confirmed = append(confirmed, l.ackID)
		}
		r.counting.add(l.letter)
		r.each(l.letter, topics[i], nil)
	}
	return confirmed
}

func (r *redrive) each(l DeadLetter, topic string, left error) {
	if r.opts.Each != nil {
		r.opts.Each(l, subscription.Short(topic), left)
	}
}

// leave notes why a dead letter stays, up to a bound on distinct reasons.
func (r *redrive) leave(l DeadLetter, topic string, err error) {
	const most = 20
	r.report.Left++
	if len(r.faults) < most {
		r.faults[err.Error()] = err
	}
	r.each(l, topic, err)
}

// topic returns to which topic a letter is to be published.
func (r *redrive) topic(letter DeadLetter) (string, error) {
	if letter.Truncated {
		return "", fmt.Errorf("message %s: it was too big to be kept whole; publish its event anew", letter.MessageID)
	}
	from := subscription.Short(letter.Subscription)
	if !slices.Contains(r.opts.To, from) {
		return "", fmt.Errorf("subscription %q, from which it says that it came, is none of --subscriptions: name it there, if that is right", from)
	}
	for _, topic := range []string{r.origin(from), subscription.Of(from).Topic, letter.Type.Topic()} {
		if topic != "" {
			return topic, nil
		}
	}
	return "", fmt.Errorf("message %s: it is not known from which topic it came", letter.MessageID)
}

func (r *redrive) publish(ctx context.Context, letter DeadLetter, topic string) *pubsub.PublishResult {
	attributes := maps.Clone(letter.Attributes)
	attributes[consumer.RedriveAttribute] = r.run
	attributes[consumer.RedrivesAttribute] = strconv.Itoa(letter.Redrives + 1)
	attributes[consumer.RedrivenByAttribute] = r.opts.By
	if r.opts.By == "" {
		delete(attributes, consumer.RedrivenByAttribute)
	}
	return r.publisher(topic).Publish(ctx, &pubsub.Message{Attributes: attributes, Data: letter.Data})
}

// origin is the topic of a subscription, or "" if either does not exist any more.
// Then the one that the subscription's name stands for is meant, or else that of the
// event's type.
func (r *redrive) origin(name string) string {
	topic, known := r.origins[name]
	if known {
		return topic
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	request := &pubsubpb.GetSubscriptionRequest{Subscription: r.client.Subscriber(name).String()}
	if s, err := r.client.SubscriptionAdminClient.GetSubscription(ctx, request); err == nil && !subscription.TopicDeleted(s) {
		topic = s.Topic
	}
	r.origins[name] = topic
	return topic
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
