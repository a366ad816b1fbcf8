package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/googleapis/gax-go/v2"
	"golang.org/x/sync/errgroup"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// PubSubOptions are the settings of the Pub/Sub transport.
type PubSubOptions struct {
	// Subscriptions to consume, by short name or in full. At least one.
	Subscriptions []string
	// DeadLetterTopic takes what is refused, by short name or in full.
	DeadLetterTopic string
	// Streams is the number of StreamingPull streams for each subscription. One
	// carries about 10 MB/s. Default: 16.
	Streams int
	// Lease is how long a message stays with a worker that neither settles nor
	// extends it: after a crash, its messages are delivered again this much
	// later, and so is, after any stop, what the service had sent ahead to the
	// streams. It is extended as long as a message is held. Pub/Sub allows 10 s to
	// 10 min; short leases end before they are extended where the machine is
	// overloaded, and the emulator's time grows with the square of what expires
	// at once. Default: 20 s.
	Lease time.Duration
	// Logger: nil discards.
	Logger *slog.Logger
}

// Validate returns every fault of the settings at once.
func (o PubSubOptions) Validate() error {
	var faults []error
	if len(o.Subscriptions) == 0 {
		faults = append(faults, errors.New("pubsub: no subscriptions"))
	}
	seen := map[string]bool{}
	for _, name := range o.Subscriptions {
		if name == "" {
			faults = append(faults, errors.New("pubsub: a subscription has no name"))
		}
		if seen[name] {
			faults = append(faults, fmt.Errorf("pubsub: subscription %s is given twice", name))
		}
		seen[name] = true
	}
	if o.DeadLetterTopic == "" {
		faults = append(faults, errors.New("pubsub: no dead-letter topic"))
	}
	if o.Lease != 0 && (o.Lease < 10*time.Second || o.Lease > 10*time.Minute) {
		faults = append(faults, errors.New("pubsub: lease must be from 10s to 10m"))
	}
	if o.Streams < 0 {
		faults = append(faults, errors.New("pubsub: streams must not be negative"))
	}
	return errors.Join(faults...)
}

// PubSub is the transport over Google Cloud Pub/Sub.
type PubSub struct {
	client      *pubsub.Client
	opts        PubSubOptions
	deadLetters *pubsub.Publisher
}

var _ Transport = (*PubSub)(nil)

// deadLetterPublishTimeout ends a publish, with the client's own retries inside,
// before the consumer gives up waiting for it: else a dead letter could arrive
// whose message was nacked long ago.
const deadLetterPublishTimeout = 10 * time.Second

// ClientOptions are for the client that NewPubSub is given. They bound what a
// stream buffers before anybody looks at it: left alone, gRPC opens that window
// as far as 16 MB a stream while messages wait. 256 KiB are 10 MB/s and more at
// any round trip of up to 25 ms.
func ClientOptions() []option.ClientOption {
	const stream, connection = 256 << 10, 1 << 20 // bytes
	return []option.ClientOption{
		option.WithGRPCDialOption(grpc.WithStaticStreamWindowSize(stream)),
		option.WithGRPCDialOption(grpc.WithStaticConnWindowSize(connection)),
	}
}

// NewPubSub returns a transport over the client, which the caller closes after
// the transport, and has opened with ClientOptions.
func NewPubSub(client *pubsub.Client, opts PubSubOptions) (*PubSub, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	setDefault(&opts.Streams, 16)
	setDefault(&opts.Lease, 20*time.Second)
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	publisher := client.Publisher(opts.DeadLetterTopic)
	publisher.PublishSettings.Timeout = deadLetterPublishTimeout
	return &PubSub{client: client, opts: opts, deadLetters: publisher}, nil
}

// Close ends what publishes dead letters. Call it after the consumer's Run.
func (p *PubSub) Close() { p.deadLetters.Stop() }

// Check looks for the subscriptions and the dead-letter topic. An identity that
// may consume but not look is let pass: receiving will tell.
func (p *PubSub) Check(ctx context.Context) error {
	faults := make([]error, len(p.opts.Subscriptions)+1)
	var group errgroup.Group
	for i, name := range p.opts.Subscriptions {
		group.Go(func() error {
			request := &pubsubpb.GetSubscriptionRequest{Subscription: p.client.Subscriber(name).String()}
			_, err := p.client.SubscriptionAdminClient.GetSubscription(ctx, request, once)
			faults[i] = p.missing("subscription", request.Subscription, err)
			return nil
		})
	}
	request := &pubsubpb.GetTopicRequest{Topic: p.deadLetters.String()}
	_, err := p.client.TopicAdminClient.GetTopic(ctx, request, once)
	faults[len(faults)-1] = p.missing("dead-letter topic", request.Topic, err)
	_ = group.Wait()
	return errors.Join(faults...)
}

// once turns off the client's own retries, which go on until the context ends
// and lose the reason.
var once = gax.WithRetry(func() gax.Retryer { return nil })

func (p *PubSub) missing(what, name string, err error) error {
	switch code := status.Code(err); {
	case err == nil:
		return nil
	case code == codes.NotFound:
		return fmt.Errorf("%s %s does not exist: `registry-worker provision` creates it", what, name)
	case code == codes.PermissionDenied:
		p.opts.Logger.Warn("not allowed to look whether it exists; going on", "what", what, "name", name)
		return nil
	case code == codes.Unavailable, code == codes.DeadlineExceeded, errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s %s: pub/sub does not answer: %w", what, name, err)
	default:
		return fmt.Errorf("%s %s: %w", what, name, err)
	}
}

// Receive implements Transport. All subscriptions end together.
func (p *PubSub) Receive(ctx context.Context, limits Limits, deliver func(context.Context, Message)) error {
	group, ctx := errgroup.WithContext(ctx)
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
					Settler:      m,
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

// receiveSettings spread the limits over all streams of all subscriptions: the
// service holds each stream to its share. The callbacks end when their message
// is queued, not when it is settled, so that no goroutine waits for each; the
// consumer itself bounds what is unsettled. ShutdownOptions stay nil: Receive
// then waits until all is settled, which the consumer sees to.
func (p *PubSub) receiveSettings(limits Limits) pubsub.ReceiveSettings {
	streams := p.opts.Streams * len(p.opts.Subscriptions)
	return pubsub.ReceiveSettings{
		NumGoroutines:              p.opts.Streams,
		MaxOutstandingMessages:     max(1, limits.Messages/streams),
		MaxOutstandingBytes:        max(1, int(limits.Bytes)/streams),
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
