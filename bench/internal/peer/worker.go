package peer

import (
	"context"
	"os"
	"runtime/pprof"
	"sync/atomic"

	"cloud.google.com/go/pubsub/v2"
	"go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/northstar-engines/realtime-registry/internal/consumer"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

// worker is our worker, put together as `registry-worker run` does it. It can write
// a CPU profile, for which the real program has no flag. The comparison runs the
// real program.
func worker(ctx context.Context, o Options, done *atomic.Int64) error {
	if o.Profile != "" {
		file, err := os.Create(o.Profile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	exporter, err := prometheus.New()
	if err != nil {
		return err
	}
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))
	store, err := fsregistry.Open(ctx, fsregistry.Options{ProjectID: o.Project, MeterProvider: meters})
	if err != nil {
		return err
	}
	defer store.Close()
	options := consumer.PubSubOptions{
		Subscriptions: o.Subscriptions, DeadLetterTopic: "realtime-registry-dead-letters", Streams: o.Streams,
		Monitor: consumer.NewMonitor(), MeterProvider: meters,
	}
	client, err := pubsub.NewClient(ctx, o.Project, options.ClientOptions()...)
	if err != nil {
		return err
	}
	defer client.Close()
	transport, err := consumer.NewPubSub(client, options)
	if err != nil {
		return err
	}
	defer transport.Close()
	c, err := consumer.New(counted{store, done}, transport, consumer.Options{
		MaxOutstandingMessages: o.Outstanding, BatchChanges: o.Batch, MeterProvider: meters,
	})
	if err != nil {
		return err
	}
	return c.Run(ctx)
}

// counted counts the changes that its store was given.
type counted struct {
	ownership.Store
	done *atomic.Int64
}

func (c counted) Apply(ctx context.Context, changes []ownership.Change) []ownership.Outcome {
	outcomes := c.Store.Apply(ctx, changes)
	c.done.Add(int64(len(changes)))
	return outcomes
}
