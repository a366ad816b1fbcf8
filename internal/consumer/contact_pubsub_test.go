package consumer_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
	admin "github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

// The emulators of these tests are behind front ends that take 100 concurrent
// calls on one connection, as Google's are: 102 streams leave no room on one.
const manyStreams = 34 // for each of three subscriptions

func TestAnyNumberOfStreamsLeavesRoomForAcknowledgements(t *testing.T) {
	project, metrics := emulatortest.PubSub(t), newMetrics(t)
	t.Setenv("PUBSUB_EMULATOR_HOST", project.PubSubHost) // one connection, if nobody asks for more
	options := consumer.PubSubOptions{
		Subscriptions: subscriptions, DeadLetterTopic: deadLetters, Streams: manyStreams, Lease: 10 * time.Second,
		Monitor: consumer.NewMonitor(), MeterProvider: metrics.provider,
	}
	client, err := pubsub.NewClient(t.Context(), project.ID, options.ClientOptions()...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	_, err = admin.Provision(t.Context(), client, admin.ProvisionOptions{Subscriptions: subscriptions, DeadLetterTopic: deadLetters})
	require.NoError(t, err)
	c := work(t, client, options)
	require.Eventually(t, func() bool { return metrics.read()["registry.pubsub.streams.connected"] == 3*manyStreams }, patience, 10*time.Millisecond)
	publishMany(t, client)
	require.Eventually(t, func() bool {
		m := metrics.read()
		return m["registry.events"] >= deliveries && m["registry.pubsub.acks.unconfirmed"] == 0
	}, patience, 10*time.Millisecond)
	require.NoError(t, c.Ready())
}

const deliveries = 50

func publishMany(t *testing.T, client *pubsub.Client) {
	t.Helper()
	var all []events.Event
	for i := range deliveries {
		all = append(all, thread(i))
	}
	publish(t, client, all...)
}

func TestAcknowledgementsThatDoNotArriveAreNoProgress(t *testing.T) {
	project, metrics := emulatortest.PubSub(t), newMetrics(t)
	options := consumer.PubSubOptions{
		Subscriptions: subscriptions, DeadLetterTopic: deadLetters, Streams: manyStreams, Lease: 10 * time.Second,
		Monitor: consumer.NewMonitor(), MeterProvider: metrics.provider, ReadyTimeout: 2 * time.Second,
	}
	direct, err := pubsub.NewClient(t.Context(), project.ID, project.PubSubOptions()...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = direct.Close() })
	_, err = admin.Provision(t.Context(), direct, admin.ProvisionOptions{Subscriptions: subscriptions, DeadLetterTopic: deadLetters})
	require.NoError(t, err)
	publishMany(t, direct)
	oneConnection, err := pubsub.NewClient(t.Context(), project.ID, project.PubSubOptions(options.DialOptions()...)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = oneConnection.Close() })
	c := work(t, oneConnection, options)
	require.Eventually(t, func() bool { return c.Ready() != nil && metrics.read()["registry.events"] >= deliveries }, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		err := c.Ready()
		return err != nil && strings.Contains(err.Error(), "Pub/Sub has confirmed no acknowledgement for")
	}, patience, 10*time.Millisecond)
	require.GreaterOrEqual(t, metrics.read()["registry.pubsub.acks.unconfirmed"], float64(deliveries))
}

// work runs a consumer with these options until the test ends.
func work(t *testing.T, client *pubsub.Client, options consumer.PubSubOptions) *consumer.Consumer {
	t.Helper()
	transport, err := consumer.NewPubSub(client, options)
	require.NoError(t, err)
	c, err := consumer.New(memregistry.New(), transport, consumer.Options{MeterProvider: options.MeterProvider, DrainTimeout: time.Second})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
		transport.Close()
	})
	return c
}

// linked is a worker that reaches the emulator over a link.
type linked struct {
	*consumer.Consumer
	link    *wire.Link
	log     *lines
	metrics metrics
}

func newLinked(t *testing.T) linked {
	t.Helper()
	project := emulatortest.PubSub(t)
	direct, err := pubsub.NewClient(t.Context(), project.ID, project.PubSubOptions()...)
	require.NoError(t, err)
	defer direct.Close()
	_, err = admin.Provision(t.Context(), direct, admin.ProvisionOptions{Subscriptions: subscriptions, DeadLetterTopic: deadLetters, NoRetryPolicy: true})
	require.NoError(t, err)

	link, err := wire.NewLink(project.PubSubHost)
	require.NoError(t, err)
	t.Cleanup(func() { _ = link.Close() })
	log, metrics := &lines{}, newMetrics(t)
	options := consumer.PubSubOptions{
		Subscriptions: subscriptions, DeadLetterTopic: deadLetters, Streams: 1, Lease: 10 * time.Second, ReadyTimeout: 3 * time.Second,
		Monitor: consumer.NewMonitor(), MeterProvider: metrics.provider, Logger: slog.New(slog.NewTextHandler(log, nil)),
	}
	project.PubSubHost = link.Addr()
	client, err := pubsub.NewClient(t.Context(), project.ID, project.PubSubOptions(options.DialOptions()...)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	l := linked{work(t, client, options), link, log, metrics}
	require.Eventually(t, func() bool { return l.Ready() == nil && l.metrics.read()["registry.pubsub.streams.connected"] == 3 }, patience, 10*time.Millisecond)
	return l
}

func (l linked) requireLossAndReturn(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return l.log.count("no contact with Pub/Sub") > 0 }, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool { return l.Ready() != nil }, patience, 10*time.Millisecond)
	require.ErrorContains(t, l.Ready(), "no contact with Pub/Sub")
	require.Greater(t, l.metrics.read()["registry.pubsub.answer.age"], 2.0)

	l.link.Restore()
	require.Eventually(t, func() bool { return l.Ready() == nil && l.log.count("Pub/Sub is back", subscriptions...) >= 3 }, patience, 10*time.Millisecond)
	require.Equal(t, 3, l.log.count("Pub/Sub is back", subscriptions...), l.log)
	require.Equal(t, 1, l.log.count("no contact with Pub/Sub"), l.log)
}

func TestAPubSubThatGoesAwayIsToldOfOnceAndItsReturnToo(t *testing.T) {
	l := newLinked(t)
	l.link.Refuse()
	require.Eventually(t, func() bool { return l.metrics.read()["registry.pubsub.streams.connected"] == 0 }, patience, 10*time.Millisecond)
	l.requireLossAndReturn(t)
	require.Eventually(t, func() bool { return l.metrics.read()["registry.pubsub.streams.connected"] == 3 }, patience, 10*time.Millisecond)
}

func TestAPubSubThatFallsSilentIsToldOfOnceAndItsReturnToo(t *testing.T) {
	l := newLinked(t)
	l.link.Blackhole()
	require.Eventually(t, func() bool { return l.metrics.read()["registry.pubsub.streams.connected"] == 0 }, patience, 10*time.Millisecond)
	l.requireLossAndReturn(t)
	require.Eventually(t, func() bool { return l.metrics.read()["registry.pubsub.streams.connected"] == 3 }, patience, 10*time.Millisecond)
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// count is how many lines have the text, or, of the names, how many they have
// together.
func (l *lines) count(text string, names ...string) (n int) {
	for line := range strings.Lines(l.String()) {
		if !strings.Contains(line, text) {
			continue
		}
		if len(names) == 0 {
			n++
		}
		for _, name := range names {
			n += strings.Count(line, name)
		}
	}
	return n
}

// metrics sums what is measured now over all labels, by name.
type metrics struct {
	provider *sdkmetric.MeterProvider
	read     func() map[string]float64
}

func newMetrics(t *testing.T) metrics {
	reader := sdkmetric.NewManualReader()
	return metrics{sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)), func() map[string]float64 {
		var all metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(context.Background(), &all))
		got := map[string]float64{}
		for _, s := range all.ScopeMetrics {
			for _, m := range s.Metrics {
				switch data := m.Data.(type) {
				case metricdata.Sum[int64]:
					for _, p := range data.DataPoints {
						got[m.Name] += float64(p.Value)
					}
				case metricdata.Gauge[int64]:
					for _, p := range data.DataPoints {
						got[m.Name] += float64(p.Value)
					}
				case metricdata.Gauge[float64]:
					for _, p := range data.DataPoints {
						got[m.Name] += p.Value
					}
				}
			}
		}
		return got
	}}
}
