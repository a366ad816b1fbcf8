package certified

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/northstar-engines/realtime-registry/internal/observe"
	"github.com/northstar-engines/realtime-registry/registry"
)

// scope is package verifier's, which documents the metrics.
const scope = "github.com/northstar-engines/realtime-registry/registry/verifier"

// The reasons why a watch was closed, beside Uncertified, Aged and Unreliable.
const (
	changed     = "changed"      // the history of the resource
	tenantMoved = "tenant_moved" // or the move was retracted
	feedGap     = "feed_gap"
	plainSet    = "plain_set" // a read contradicts what was known
)

// telemetry holds the instruments of the cache.
type telemetry struct {
	misses  *observe.Counter
	confirm *observe.Histogram
	changes *observe.Counter
	ended   *observe.Counter

	unregister func() // ends what is observed
}

// newTelemetry makes the instruments, and observes stats until unregister.
func newTelemetry(provider metric.MeterProvider, stats func() Stats) (*telemetry, error) {
	i := observe.Providers{MeterProvider: provider}.Instruments(scope)
	kinds := observe.Values("kind", registry.Thread, registry.Canvas)
	t := &telemetry{
		misses: i.Counter("registry.verifier.cache.misses", "{check}", "Checks that were not answered from memory, by reason.",
			observe.Values("reason", Absent, Uncertified, Aged, Unreliable, OtherOwner)),
		confirm: i.Histogram("registry.verifier.feed.read.duration", "s", "Reads of the change feed, by outcome.",
			[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}, observe.Values("outcome", "ok", "error")),
		changes: i.Counter("registry.verifier.feed.changes", "{change}", "Changes of histories that the feed told of."),
		ended: i.Counter("registry.verifier.watch.ended", "{watch}", "Watches that were closed, by reason.",
			observe.Values("reason", changed, tenantMoved, Aged, plainSet, Uncertified, feedGap, Unreliable)),
	}
	hits := i.Total("registry.verifier.cache.hits", "{check}", "Checks that were answered from memory, by kind.", kinds)
	entries := i.Gauge("registry.verifier.cache.entries", "{resource}", "Resources kept in memory.")
	size := i.Gauge("registry.verifier.cache.size", "By", "What the resources in memory take, about.")
	watches := i.Gauge("registry.verifier.watches", "{resource}", "Resources that are watched.")
	age := i.FloatGauge("registry.verifier.feed.age", "s", "Time since the read that certifies what is in memory was sent; absent before the first.")
	connected := i.Gauge("registry.verifier.listener.connected", "{listener}", "1 while the listener lives that tells of changes as they happen, else 0.")
	of := func(k registry.Kind) metric.ObserveOption {
		return metric.WithAttributes(attribute.String(kinds.Name, string(k)))
	}
	t.unregister = i.Collect(func(_ context.Context, o metric.Observer) {
		s := stats()
		o.ObserveInt64(hits, s.ThreadHits, of(registry.Thread))
		o.ObserveInt64(hits, s.CanvasHits, of(registry.Canvas))
		o.ObserveInt64(entries, s.Entries)
		o.ObserveInt64(size, s.Bytes)
		o.ObserveInt64(watches, s.Watches+s.Subscribed)
		o.ObserveInt64(connected, s.Listeners)
		if !s.CertifiedSince.IsZero() {
			o.ObserveFloat64(age, time.Since(s.CertifiedSince).Seconds())
		}
	}, hits, entries, size, watches, age, connected)
	return t, i.Err()
}

func (t *telemetry) missed(ctx context.Context, why string) { t.misses.Add(ctx, 1, why) }

func (t *telemetry) changed(resources int) { t.changes.Add(context.Background(), int64(resources)) }

func (t *telemetry) confirmed(ctx context.Context, took time.Duration, err error) {
	outcome := "ok"
	if err != nil {
		outcome = "error"
	}
	t.confirm.Record(ctx, took.Seconds(), outcome)
}

func (t *telemetry) closed(watches int, why string) {
	if watches > 0 {
		t.ended.Add(context.Background(), int64(watches), why)
	}
}
