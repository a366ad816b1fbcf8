package certified

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/northstar-engines/realtime-registry/registry"
)

// scope is package verifier's, which documents the metrics.
const scope = "github.com/northstar-engines/realtime-registry/registry/verifier"

// Why a watch was closed, beside Uncertified, Aged and Unreliable.
const (
	changed     = "changed"      // the history of the resource
	tenantMoved = "tenant_moved" // or the move was retracted
	feedGap     = "feed_gap"
	plainSet    = "plain_set" // a read contradicts what was known
)

// telemetry holds the instruments of the cache.
type telemetry struct {
	meter        metric.Meter
	reasons      map[string]metric.MeasurementOption
	misses       metric.Int64Counter
	confirm      metric.Float64Histogram
	changes      metric.Int64Counter
	closedCount  metric.Int64Counter
	registration metric.Registration
}

func newTelemetry(provider metric.MeterProvider) (*telemetry, error) {
	meter := provider.Meter(scope)
	var errs [4]error
	t := &telemetry{reasons: map[string]metric.MeasurementOption{}, meter: meter}
	for _, why := range []string{Absent, Uncertified, Aged, Unreliable, OtherOwner} {
		t.reasons[why] = metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", why)))
	}
	t.misses, errs[0] = meter.Int64Counter("registry.verifier.cache.misses", metric.WithUnit("{check}"),
		metric.WithDescription("Checks that were not answered from memory, by reason."))
	t.confirm, errs[1] = meter.Float64Histogram("registry.verifier.feed.read.duration", metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5),
		metric.WithDescription("Reads of the change feed, by outcome."))
	t.changes, errs[2] = meter.Int64Counter("registry.verifier.feed.changes", metric.WithUnit("{change}"),
		metric.WithDescription("Changes of histories that the feed told of."))
	t.closedCount, errs[3] = meter.Int64Counter("registry.verifier.watch.ended", metric.WithUnit("{watch}"),
		metric.WithDescription("Watches that were closed, by reason."))
	return t, errors.Join(errs[:]...)
}

// observe reports what is looked up when metrics are collected, until unregister.
func (t *telemetry) observe(stats func() Stats) error {
	var errs [6]error
	hits, err := t.meter.Int64ObservableCounter("registry.verifier.cache.hits", metric.WithUnit("{check}"),
		metric.WithDescription("Checks that were answered from memory, by kind."))
	errs[0] = err
	entries, err := t.meter.Int64ObservableGauge("registry.verifier.cache.entries", metric.WithUnit("{resource}"),
		metric.WithDescription("Resources kept in memory."))
	errs[1] = err
	size, err := t.meter.Int64ObservableGauge("registry.verifier.cache.size", metric.WithUnit("By"),
		metric.WithDescription("What the resources in memory take, about."))
	errs[2] = err
	watches, err := t.meter.Int64ObservableGauge("registry.verifier.watches", metric.WithUnit("{resource}"),
		metric.WithDescription("Resources that are watched."))
	errs[3] = err
	age, err := t.meter.Float64ObservableGauge("registry.verifier.feed.age", metric.WithUnit("s"),
		metric.WithDescription("Time since the read that certifies what is in memory was sent."))
	errs[4] = err
	connected, err := t.meter.Int64ObservableGauge("registry.verifier.listener.connected", metric.WithUnit("{listener}"),
		metric.WithDescription("1 while the listener lives that tells of changes as they happen, else 0."))
	errs[5] = err
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	kinds := func(k registry.Kind) metric.ObserveOption {
		return metric.WithAttributes(attribute.String("kind", string(k)))
	}
	t.registration, err = t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := stats()
		o.ObserveInt64(hits, s.ThreadHits, kinds(registry.Thread))
		o.ObserveInt64(hits, s.CanvasHits, kinds(registry.Canvas))
		o.ObserveInt64(entries, s.Entries)
		o.ObserveInt64(size, s.Bytes)
		o.ObserveInt64(watches, s.Watches+s.Subscribed)
		o.ObserveInt64(connected, s.Listeners)
		if !s.CertifiedSince.IsZero() {
			o.ObserveFloat64(age, time.Since(s.CertifiedSince).Seconds())
		}
		return nil
	}, hits, entries, size, watches, age, connected)
	return err
}

// unregister ends observe. It fails only if there is nothing to end.
func (t *telemetry) unregister() { _ = t.registration.Unregister() }

func (t *telemetry) missed(ctx context.Context, why string) { t.misses.Add(ctx, 1, t.reasons[why]) }

func (t *telemetry) changed(resources int) { t.changes.Add(context.Background(), int64(resources)) }

func (t *telemetry) confirmed(ctx context.Context, took time.Duration, err error) {
	outcome := "ok"
	if err != nil {
		outcome = "error"
	}
	t.confirm.Record(ctx, took.Seconds(), metric.WithAttributes(attribute.String("outcome", outcome)))
}

func (t *telemetry) closed(watches int, why string) {
	if watches > 0 {
		t.closedCount.Add(context.Background(), int64(watches), metric.WithAttributes(attribute.String("reason", why)))
	}
}
