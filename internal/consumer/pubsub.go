package consumer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"golang.org/x/sync/errgroup"
)

// PubSub is the transport over Google Cloud Pub/Sub.
type PubSub struct {
	client      *pubsub.Client
	opts        PubSubOptions
	deadLetters *pubsub.Publisher
	contact     *contact // nil if there is no Monitor
	looked      *looked
	unobserve   func() // ends metrics
}

var _ Transport = (*PubSub)(nil)

// deadLetterPublishTimeout ends a publish, with the client's own retries inside,
// before the consumer gives up waiting for it: otherwise a dead letter could arrive
// long after its message was nacked.
const deadLetterPublishTimeout = 10 * time.Second

// NewPubSub returns a transport over the client, which the caller closes after
// the transport, and has opened with the ClientOptions of the same options.
func NewPubSub(client *pubsub.Client, opts PubSubOptions) (*PubSub, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	publisher := client.Publisher(opts.DeadLetterTopic)
	publisher.PublishSettings.Timeout = deadLetterPublishTimeout
	p := &PubSub{client: client, opts: opts, deadLetters: publisher, looked: newLooked()}
	if opts.Monitor != nil {
		names := make([]string, len(opts.Subscriptions))
		for i, name := range opts.Subscriptions {
			names[i] = client.Subscriber(name).String()
		}
		p.contact = newContact(names, opts.ReadyTimeout, time.Now())
		opts.Monitor.contact.Store(p.contact)
	}
	var err error
	p.unobserve, err = p.observe()
	return p, err
}

// Close ends what publishes dead letters. Call it after the consumer's Run.
func (p *PubSub) Close() {
	p.deadLetters.Stop()
	p.unobserve()
}

// Ready implements Transport. It covers the connection to Pub/Sub, unconfirmed
// acknowledgements, and the results of the last looks.
func (p *PubSub) Ready() error {
	if p.contact == nil {
		return p.looked.found()
	}
	return errors.Join(p.contact.ready(time.Now()), p.looked.found())
}

// Receive implements Transport. All subscriptions end together.
func (p *PubSub) Receive(ctx context.Context, limits Limits, deliver func(context.Context, Message)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { p.lookAgain(ctx); return nil })
	if p.contact != nil {
		group.Go(func() error { p.watch(ctx); return nil })
	}
	for _, name := range p.opts.Subscriptions {
		subscriber := p.client.Subscriber(name)
		subscriber.ReceiveSettings = p.receiveSettings(limits)
		group.Go(func() error {
			err := subscriber.Receive(ctx, func(ctx context.Context, m *pubsub.Message) {
				deliver(ctx, Message{
					ID:           m.ID,
					Subscription: subscriber.ID(),
					Attributes:   m.Attributes,
					Data:         m.Data,
					PublishTime:  m.PublishTime,
					Settler:      p.settler(subscriber.String(), m),
				})
			})
			if err == nil && ctx.Err() == nil {
				err = errors.New("the stream ended")
			}
			if err != nil {
				return fmt.Errorf("subscription %s: %w", subscriber.ID(), err)
			}
			return nil
		})
	}
	return group.Wait()
}

// settler is the message's, whose acknowledgement counts until it is confirmed.
func (p *PubSub) settler(subscription string, m *pubsub.Message) Settler {
	if p.contact == nil {
		return m
	}
	return &watchedSettler{m, p.contact, subscription}
}

type watchedSettler struct {
	*pubsub.Message
	contact      *contact
	subscription string
}

func (s *watchedSettler) Ack() {
	s.contact.acking(s.subscription, time.Now())
	s.Message.Ack()
}

// receiveSettings let the streams of each subscription hold, together, what the
// limits allow: the service sends no more to a stream before some of it is
// acknowledged, and one subscription usually carries nearly everything. The
// callbacks end when their message is queued, not when it is settled, so that no
// goroutine waits for each; the consumer itself bounds what is unsettled.
// ShutdownOptions stay nil: Receive then waits until all is settled, which the
// consumer sees to.
func (p *PubSub) receiveSettings(limits Limits) pubsub.ReceiveSettings {
	return pubsub.ReceiveSettings{
		NumGoroutines:              p.opts.Streams,
		MaxOutstandingMessages:     max(1, limits.Messages/p.opts.Streams),
		MaxOutstandingBytes:        max(1, int(limits.Bytes)/p.opts.Streams),
		MaxExtension:               maxLease,
		MinDurationPerAckExtension: p.opts.Lease,
		MaxDurationPerAckExtension: p.opts.Lease,
	}
}

// maxLease is how long the lease of an unsettled message is extended: much
// longer than the consumer holds one, and short enough that a message in a
// worker that hangs is delivered elsewhere.
const maxLease = 10 * time.Minute

// DeadLetter implements Transport.
func (p *PubSub) DeadLetter(ctx context.Context, letter DeadLetter) error {
	message := &pubsub.Message{Attributes: letter.Attributes, Data: letter.Data}
	if _, err := p.deadLetters.Publish(ctx, message).Get(ctx); err != nil {
		return fmt.Errorf("topic %s: %w", shortName(p.deadLetters.String()), err)
	}
	return nil
}

func shortName(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }
