package consumer_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/events/consumer"
	admin "github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
	"github.com/northstar-engines/realtime-registry/registry/memory"
)

// frontEnd is a Pub/Sub that takes 100 concurrent calls on one connection, as
// Google's front ends do. It delivers one message on each of its first streams.
type frontEnd struct {
	pubsubpb.UnimplementedPublisherServer
	pubsubpb.UnimplementedSubscriberServer
	delivered, acknowledged atomic.Int64
}

const deliveries = 50

func (f *frontEnd) GetTopic(_ context.Context, r *pubsubpb.GetTopicRequest) (*pubsubpb.Topic, error) {
	return &pubsubpb.Topic{Name: r.Topic}, nil
}

func (f *frontEnd) GetSubscription(_ context.Context, r *pubsubpb.GetSubscriptionRequest) (*pubsubpb.Subscription, error) {
	topic, _, _ := strings.Cut(strings.Replace(r.Subscription, "/subscriptions/", "/topics/", 1), ".")
	return &pubsubpb.Subscription{Name: r.Subscription, Topic: topic, RetainAckedMessages: true}, nil
}

func (f *frontEnd) StreamingPull(stream pubsubpb.Subscriber_StreamingPullServer) error {
	if n := f.delivered.Add(1); n <= deliveries {
		data := fmt.Sprintf(`{"specversion":"1.0","id":"e%d","source":"//n","type":"nexus.thread.created.v1","time":"2026-01-01T00:00:00Z","data":{"tenant_id":"t_a","thread_id":"th_%d"}}`, n, n)
		err := stream.Send(&pubsubpb.StreamingPullResponse{ReceivedMessages: []*pubsubpb.ReceivedMessage{{
			AckId: fmt.Sprint(n), Message: &pubsubpb.PubsubMessage{MessageId: fmt.Sprint(n), Data: []byte(data), PublishTime: timestamppb.Now()},
		}}})
		if err != nil {
			return err
		}
	}
	<-stream.Context().Done()
	return nil
}

func (f *frontEnd) ModifyAckDeadline(context.Context, *pubsubpb.ModifyAckDeadlineRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

func (f *frontEnd) Acknowledge(_ context.Context, r *pubsubpb.AcknowledgeRequest) (*emptypb.Empty, error) {
	f.acknowledged.Add(int64(len(r.AckIds)))
	return &emptypb.Empty{}, nil
}

// serve makes it the emulator of this test.
func (f *frontEnd) serve(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer(grpc.MaxConcurrentStreams(100))
	pubsubpb.RegisterPublisherServer(server, f)
	pubsubpb.RegisterSubscriberServer(server, f)
	go func() { _ = server.Serve(listener) }() // ends by Stop
	t.Cleanup(server.Stop)
	t.Setenv("PUBSUB_EMULATOR_HOST", listener.Addr().String())
}

func TestAnyNumberOfStreamsLeavesRoomForAcknowledgements(t *testing.T) {
	service, metrics := &frontEnd{}, newMetrics(t)
	service.serve(t) // one connection, if nobody asks for more
	options := consumer.PubSubOptions{
		Subscriptions: subscriptions, DeadLetterTopic: deadLetters, Streams: 34, Monitor: consumer.NewMonitor(), MeterProvider: metrics.provider,
	}
	client, err := pubsub.NewClient(t.Context(), "project", options.ClientOptions()...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	work(t, client, options)
	require.Eventually(t, func() bool { return service.acknowledged.Load() == deliveries }, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool { return metrics.read()["registry.acks.unconfirmed"] == 0 }, patience, 10*time.Millisecond)
}

func TestAcknowledgementsThatDoNotArriveAreNoProgress(t *testing.T) {
	service, metrics := &frontEnd{}, newMetrics(t)
	service.serve(t)
	options := consumer.PubSubOptions{
		Subscriptions: subscriptions, DeadLetterTopic: deadLetters, Streams: 34, Monitor: consumer.NewMonitor(), MeterProvider: metrics.provider,
		ReadyTimeout: 2 * time.Second,
	}
	var oneConnection []option.ClientOption
	for _, o := range options.DialOptions() {
		oneConnection = append(oneConnection, option.WithGRPCDialOption(o))
	}
	client, err := pubsub.NewClient(t.Context(), "project", oneConnection...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	c := work(t, client, options)
	require.Eventually(t, func() bool { return c.Ready() != nil && metrics.read()["registry.events"] == deliveries }, patience, 10*time.Millisecond)
	require.ErrorContains(t, c.Ready(), "Pub/Sub has confirmed no acknowledgement for")
	require.Zero(t, service.acknowledged.Load())
	require.EqualValues(t, deliveries, metrics.read()["registry.acks.unconfirmed"])
}

// work runs a consumer with these options until the test ends.
func work(t *testing.T, client *pubsub.Client, options consumer.PubSubOptions) *consumer.Consumer {
	t.Helper()
	transport, err := consumer.NewPubSub(client, options)
	require.NoError(t, err)
	c, err := consumer.New(memory.New(), transport, consumer.Options{MeterProvider: options.MeterProvider, DrainTimeout: time.Second})
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
	require.Eventually(t, func() bool { return l.Ready() == nil && l.metrics.read()["registry.streams.connected"] == 3 }, patience, 10*time.Millisecond)
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
	require.Eventually(t, func() bool { return l.metrics.read()["registry.streams.connected"] == 0 }, patience, 10*time.Millisecond)
	l.requireLossAndReturn(t)
	require.Eventually(t, func() bool { return l.metrics.read()["registry.streams.connected"] == 3 }, patience, 10*time.Millisecond)
}

func TestAPubSubThatFallsSilentIsToldOfOnceAndItsReturnToo(t *testing.T) {
	l := newLinked(t)
	l.link.Blackhole()
	l.requireLossAndReturn(t)
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
