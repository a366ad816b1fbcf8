package consumer

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"go.opentelemetry.io/otel/metric"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
)

// Streams for each subscription, by whom the worker talks to. One carries
// 10 MB/s on the service (https://cloud.google.com/pubsub/quotas), some 35,000
// events; a second one goes on while the first is opened anew, as it is every
// half hour. Each counts against a regional quota of open connections. On the
// emulator one carries some 2,000 messages a second (measured).
const (
	ServiceStreams  = 2
	EmulatorStreams = 16
)

// PubSubOptions are the settings of the Pub/Sub transport.
type PubSubOptions struct {
	// Subscriptions to consume, by short name or in full. At least one.
	Subscriptions []string
	// DeadLetterTopic takes what is refused, by short name or in full.
	DeadLetterTopic string
	// Streams is the number of StreamingPull streams for each subscription.
	// Default: ServiceStreams.
	Streams int
	// Lease is how long a message stays with a worker that neither settles nor
	// extends it: after a crash, its messages are delivered again this much
	// later, and so is, after any stop, what the service had sent ahead to the
	// streams. It is extended as long as a message is held. Pub/Sub allows 10 s to
	// 10 min; short leases end before they are extended if the machine is
	// overloaded, and the emulator's time grows with the square of what expires
	// at once. Default: 20 s.
	Lease time.Duration
	// ReadyTimeout is how long no stream of a subscription may be connected,
	// Pub/Sub may answer nothing, or acknowledgements may go unconfirmed, before
	// Ready fails. The log says so earlier: after a sixth of it if no stream
	// is connected, after five sixths if nothing is answered. Default: 30 s.
	ReadyTimeout time.Duration
	// LookInterval is how often the subscriptions, the dead-letter topic and its
	// subscription are looked at again: calls of administration, one for each,
	// of which Pub/Sub grants a project some thousands a minute. Default: 1 min.
	LookInterval time.Duration
	// Monitor sees what the client does; ClientOptions give it to the client.
	// nil: none, and the transport knows nothing of its streams and of what
	// becomes of its acknowledgements.
	Monitor *Monitor
	// Logger: nil discards.
	Logger *slog.Logger
	// MeterProvider: nil measures nothing.
	MeterProvider metric.MeterProvider
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
	if o.ReadyTimeout < 0 || o.LookInterval < 0 {
		faults = append(faults, errors.New("pubsub: ready timeout and look interval must not be negative"))
	}
	return errors.Join(faults...)
}

func (o PubSubOptions) withDefaults() PubSubOptions {
	setDefault(&o.Streams, ServiceStreams)
	setDefault(&o.Lease, 20*time.Second)
	setDefault(&o.ReadyTimeout, 30*time.Second)
	setDefault(&o.LookInterval, time.Minute)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// ClientOptions are for the client that NewPubSub is given: its connections, as
// many as the streams take, and DialOptions.
func (o PubSubOptions) ClientOptions() []option.ClientOption {
	var options []option.ClientOption
	for _, dial := range o.DialOptions() {
		options = append(options, option.WithGRPCDialOption(dial))
	}
	if n := o.connections(); n > 1 {
		options = append(options, option.WithGRPCConnectionPool(n))
	}
	return options
}

// DialOptions are those of ClientOptions for one connection. Without them Receive ends
// after some errors that pass.
func (o PubSubOptions) DialOptions() []grpc.DialOption {
	options := []grpc.DialOption{
		grpc.WithStaticStreamWindowSize(o.window()),
		grpc.WithStaticConnWindowSize(connectionWindow),
		grpc.WithChainStreamInterceptor(reopen),
	}
	if o.Monitor != nil {
		options = append(options, o.Monitor.dialOption())
	}
	return options
}

// Bounds on what streams buffer before it is read, in bytes. By default gRPC opens
// the window of a stream up to 16 MB while messages wait. A window is what one
// stream carries in a round trip: 1 MiB are 10 MB/s at 100 ms, 256 KiB at 25 ms.
const (
	windows          = 4 << 20 // of all streams of a subscription, if there are few enough
	leastWindow      = 256 << 10
	mostWindow       = 1 << 20
	connectionWindow = 1 << 20 // it is opened again by what arrives, whether or not a stream takes it
)

func (o PubSubOptions) window() int32 {
	return int32(min(max(windows/o.withDefaults().Streams, leastWindow), mostWindow))
}

// streamsOnConnection is half of what goes over one connection: Google's front
// ends take 100 concurrent calls on one, and more wait in the client until one
// of them ends, which a stream does not. The other half is for what the client
// does for each stream beside it, one call at a time: acknowledgements and
// extensions of leases. Which connection a call takes goes round in turns, so
// that streams that are opened anew are not spread evenly; half leaves room for
// that too.
const streamsOnConnection = 50

// connections is how many connections the client needs: not fewer than Google's
// client has by itself, on the service.
func (o PubSubOptions) connections() int {
	streams := o.withDefaults().Streams * len(o.Subscriptions)
	needed := (streams + streamsOnConnection - 1) / streamsOnConnection
	if needed <= 1 {
		return 0 // the default of Google's client
	}
	return max(needed, min(4, runtime.GOMAXPROCS(0)))
}
