package verifier

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/northstar-engines/realtime-registry/registry"
)

// Why a check was not answered from memory.
const (
	absent      = "absent"      // nothing is kept of the resource
	uncertified = "uncertified" // the feed was not read within MaxStaleness
	aged        = "aged"        // what is kept is older than MaxAge
	unreliable  = "unreliable"  // the fold takes more than what is kept
	otherOwner  = "other_owner" // a refusal is read
)

// Why a watch was closed, beside uncertified, aged and unreliable.
const (
	changed     = "changed"      // the history of the resource
	tenantMoved = "tenant_moved" // or the move was retracted
	feedGap     = "feed_gap"
	plainSet    = "plain_set" // a read contradicts what was known
)

// feedTelemetry is the part that the package comment lists as the cache's.
type feedTelemetry struct {
	readThrough  map[string]metric.MeasurementOption
	readThroughs metric.Int64Counter
	confirm      metric.Float64Histogram
	changes      metric.Int64Counter
	closedCount  metric.Int64Counter

	meter metric.Meter
}

func newFeedTelemetry(o Options) (*feedTelemetry, error) {
	meter := o.MeterProvider.Meter(scope)
	var errs [4]error
	t := &feedTelemetry{readThrough: map[string]metric.MeasurementOption{}, meter: meter}
	for _, why := range []string{absent, uncertified, aged, unreliable, otherOwner} {
		t.readThrough[why] = metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", why)))
	}
	t.readThroughs, errs[0] = meter.Int64Counter("registry.verifier.cache.misses", metric.WithUnit("{check}"),
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

// observe reports what is looked up when metrics are collected, until ctx ends.
func (t *feedTelemetry) observe(ctx context.Context, c *cache, f *certifier) error {
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
	registration, err := t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		threads, canvases := c.hits()
		o.ObserveInt64(hits, threads, kinds(registry.Thread))
		o.ObserveInt64(hits, canvases, kinds(registry.Canvas))
		n, bytes := c.usage()
		o.ObserveInt64(entries, n)
		o.ObserveInt64(size, bytes)
		o.ObserveInt64(watches, c.watching.Load()+c.subscribed.Load())
		o.ObserveInt64(connected, f.listening.Connected())
		if cert := f.current.Load(); cert != nil {
			o.ObserveFloat64(age, time.Since(cert.since).Seconds())
		}
		return nil
	}, hits, entries, size, watches, age, connected)
	if err == nil {
		context.AfterFunc(ctx, func() { _ = registration.Unregister() })
	}
	return err
}

func (t *feedTelemetry) miss(ctx context.Context, why string) {
	t.readThroughs.Add(ctx, 1, t.readThrough[why])
}

func (t *feedTelemetry) confirmed(ctx context.Context, took time.Duration, err error) {
	outcome := "ok"
	if err != nil {
		outcome = "error"
	}
	t.confirm.Record(ctx, took.Seconds(), metric.WithAttributes(attribute.String("outcome", outcome)))
}

func (t *feedTelemetry) closed(watches int, why string) {
	if watches > 0 {
		t.closedCount.Add(context.Background(), int64(watches), metric.WithAttributes(attribute.String("reason", why)))
	}
}
