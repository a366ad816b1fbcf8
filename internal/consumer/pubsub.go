package consumer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"github.com/cenkalti/backoff/v4"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
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
		group.Go(func() error {
			if err := p.receiveFrom(ctx, name, limits, deliver); err != nil {
				return fmt.Errorf("subscription %s: %w", shortName(name), err)
			}
			return nil
		})
	}
	return group.Wait()
}

// receiveFrom receives from a subscription until ctx ends. The client goes on by itself
// after most errors of a stream; after others that pass it gives up, and receiving
// begins again. Ready fails if no stream lasts.
func (p *PubSub) receiveFrom(ctx context.Context, name string, limits Limits, deliver func(context.Context, Message)) error {
	pauses := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(10*time.Second), backoff.WithMaxElapsedTime(0))
	err := backoff.Retry(func() error {
		began := time.Now()
		err := p.receiveOnce(ctx, name, limits, deliver)
		if ctx.Err() != nil || !passes(err) {
			return backoff.Permanent(err)
		}
		p.opts.Logger.WarnContext(ctx, "a stream ended with an error; receiving begins again", "subscription", shortName(name), "error", err)
		if time.Since(began) > time.Minute {
			pauses.Reset()
		}
		return err
	}, backoff.WithContext(pauses, ctx))
	switch {
	case err == nil && ctx.Err() == nil:
		return errors.New("the stream ended")
	case ctx.Err() != nil && errors.Is(err, ctx.Err()): // in a pause
		return nil
	}
	return err
}

// passes reports whether an error of a stream comes from the other side and is to be
// tried again, by https://cloud.google.com/pubsub/docs/reference/error-codes. CANCELLED
// is what proxies and the service send now and then
// (https://github.com/googleapis/nodejs-pubsub/issues/979).
func passes(err error) bool {
	s, ok := status.FromError(err)
	if !ok {
		return false
	}
	switch s.Code() {
	case codes.Canceled, codes.Unknown, codes.Unavailable, codes.ResourceExhausted:
		return true
	}
	return false
}

// receiveOnce receives until ctx ends, or an error after which the client does not go on.
func (p *PubSub) receiveOnce(ctx context.Context, name string, limits Limits, deliver func(context.Context, Message)) error {
	subscriber := p.client.Subscriber(name)
	subscriber.ReceiveSettings = p.receiveSettings(limits)
	return subscriber.Receive(ctx, func(ctx context.Context, m *pubsub.Message) {
		deliver(ctx, Message{
			ID:           m.ID,
			Subscription: subscriber.ID(),
			Attributes:   m.Attributes,
			Data:         m.Data,
			PublishTime:  m.PublishTime,
			Settler:      p.settler(subscriber.String(), m),
		})
	})
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
