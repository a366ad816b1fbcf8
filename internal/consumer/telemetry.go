package consumer

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
)

const scope = "github.com/northstar-engines/realtime-registry/internal/consumer"

// telemetry is what the consumer emits; the package comment lists it.
type telemetry struct {
	tracer trace.Tracer // nil: no traces

	settledEvents       metric.Int64Counter
	eventLag            metric.Float64Histogram
	messageLag          metric.Float64Histogram
	applyDuration       metric.Float64Histogram
	applyRetries        metric.Int64Counter
	batchSize           metric.Int64Histogram
	deadLetters         metric.Int64Counter
	deadLetterFailures  metric.Int64Counter
	displacedEntries    metric.Int64Counter
	refusedWouldCount   metric.Int64Counter
	bornMovedCreations  metric.Int64Counter
	backdatedMoves      metric.Int64Counter
	outstandingObserver metric.Registration

	labels map[label]metric.MeasurementOption // made once: they are needed for every message
}

// label is what events are counted by.
type label struct {
	eventType events.Type
	verdict   handlers.Verdict
	reason    events.Reason
}

// unknownType is the label of messages whose type is none of ours.
const unknownType events.Type = "unknown"

var (
	seconds = metric.WithExplicitBucketBoundaries(
		.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600)
	sizes = metric.WithExplicitBucketBoundaries(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
)

func newTelemetry(meters metric.MeterProvider, tracers trace.TracerProvider, outstanding func() int64) (*telemetry, error) {
	if meters == nil {
		meters = noopmetric.NewMeterProvider()
	}
	t := &telemetry{labels: map[label]metric.MeasurementOption{}}
	if tracers != nil {
		t.tracer = tracers.Tracer(scope)
	}
	m := meters.Meter(scope)
	var faults [13]error
	t.settledEvents, faults[0] = m.Int64Counter("registry.events",
		metric.WithDescription("Messages settled, by event type and outcome."))
	t.eventLag, faults[1] = m.Float64Histogram("registry.event.lag", metric.WithUnit("s"), seconds,
		metric.WithDescription("From the event's time until its ack."))
	t.messageLag, faults[2] = m.Float64Histogram("registry.message.lag", metric.WithUnit("s"), seconds,
		metric.WithDescription("From the message's publish time until its ack."))
	t.applyDuration, faults[3] = m.Float64Histogram("registry.apply.duration", metric.WithUnit("s"), seconds,
		metric.WithDescription("One attempt to apply a batch to the store."))
	t.applyRetries, faults[4] = m.Int64Counter("registry.apply.retries",
		metric.WithDescription("Attempts that left changes to be tried again."))
	t.batchSize, faults[5] = m.Int64Histogram("registry.batch.size", metric.WithUnit("{change}"), sizes,
		metric.WithDescription("Changes in one attempt."))
	t.deadLetters, faults[6] = m.Int64Counter("registry.dead_letters",
		metric.WithDescription("Dead letters that the topic has confirmed."))
	t.deadLetterFailures, faults[7] = m.Int64Counter("registry.dead_letter.failures",
		metric.WithDescription("Dead letters that could not be published; their messages were nacked."))
	t.displacedEntries, faults[8] = m.Int64Counter("registry.displaced",
		metric.WithDescription("Events acknowledged earlier whose place another one took: a move under the same name, a creation by another tenant."))
	t.refusedWouldCount, faults[10] = m.Int64Counter("registry.history_full.would_count",
		metric.WithDescription("Moves refused as history_full that would have changed the owner."))
	t.bornMovedCreations, faults[11] = m.Int64Counter("registry.born_moved",
		metric.WithDescription("Creations caught at their birth by a move of the whole tenant that is older than their publication."))
	t.backdatedMoves, faults[12] = m.Int64Counter("registry.moves.backdated",
		metric.WithDescription("Moves of whole tenants whose time is more than the clock skew before their publication."))
	gauge, err := m.Int64ObservableGauge("registry.messages.outstanding",
		metric.WithDescription("Messages delivered and not yet settled."))
	if err == nil {
		t.outstandingObserver, err = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
			o.ObserveInt64(gauge, outstanding())
			return nil
		}, gauge)
	}
	faults[9] = err
	t.makeLabels()
	return t, errors.Join(faults[:]...)
}

func (t *telemetry) close() {
	if t.outstandingObserver != nil {
		_ = t.outstandingObserver.Unregister() // fails only if it was unregistered before
	}
}

func (t *telemetry) makeLabels() {
	for _, eventType := range append([]events.Type{unknownType}, eventTypes...) {
		base := attribute.String("event.type", string(eventType))
		for _, v := range []handlers.Verdict{handlers.Applied, handlers.Duplicate, handlers.Inapplicable, handlers.Transient} {
			t.labels[label{eventType, v, ""}] = metric.WithAttributeSet(
				attribute.NewSet(base, attribute.String("outcome", string(v))))
		}
		for _, r := range reasons {
			t.labels[label{eventType, handlers.Refused, r}] = metric.WithAttributeSet(
				attribute.NewSet(base, attribute.String("outcome", string(handlers.Refused)), attribute.String("reason", string(r))))
		}
	}
}

var (
	eventTypes = events.PublishedTypes()
	reasons    = events.Reasons()
)

// settled counts a message and ends its span. Lags are those of messages that
// are done: a nacked one comes again.
func (t *telemetry) settled(w *work, r handlers.Result, now time.Time) {
	ctx := context.Background()
	l := label{eventType: typeOf(w), verdict: r.Verdict}
	if r.Refusal != nil {
		l.reason = r.Refusal.Reason
	}
	t.settledEvents.Add(ctx, 1, t.labels[l])
	if r.Verdict != handlers.Transient {
		t.messageLag.Record(ctx, now.Sub(w.message.PublishTime).Seconds())
		if w.event.Data != nil {
			t.eventLag.Record(ctx, now.Sub(w.event.Time).Seconds())
		}
	}
	if w.span == nil {
		return
	}
	w.span.SetAttributes(attribute.String("registry.outcome", string(r.Verdict)))
	switch r.Verdict {
	case handlers.Refused:
		w.span.SetStatus(codes.Error, r.Refusal.Error())
	case handlers.Transient:
		w.span.SetStatus(codes.Error, r.Err.Error())
	}
	w.span.End(trace.WithTimestamp(now))
}

// typeOf is bounded: a label must not be made of what publishers send.
func typeOf(w *work) events.Type {
	if w.event.Data != nil {
		return w.event.Type()
	}
	for _, t := range eventTypes {
		if w.message.Attributes["ce-type"] == string(t) {
			return t
		}
	}
	return unknownType
}

func (t *telemetry) deadLettered(reason events.Reason, err error) {
	by := metric.WithAttributes(attribute.String("reason", string(reason)))
	if err != nil {
		t.deadLetterFailures.Add(context.Background(), 1, by)
		return
	}
	t.deadLetters.Add(context.Background(), 1, by)
}

func (t *telemetry) retried() {
	if t != nil {
		t.applyRetries.Add(context.Background(), 1)
	}
}

func (t *telemetry) displaced() { t.displacedEntries.Add(context.Background(), 1) }

func (t *telemetry) wouldCount() { t.refusedWouldCount.Add(context.Background(), 1) }

func (t *telemetry) bornMoved() { t.bornMovedCreations.Add(context.Background(), 1) }

func (t *telemetry) backdatedMove() { t.backdatedMoves.Add(context.Background(), 1) }

// start begins the message's span, in a trace of its own with a link to that of
// its publisher: as a child of it, it would be sampled if the publisher says so,
// or if the trace id that the publisher has chosen is among those that are.
func (t *telemetry) start(w *work) {
	if t.tracer == nil {
		return
	}
	parent := w.event.TraceParent
	if parent == "" {
		parent = publisherTrace(w.message.Attributes)
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": parent})
	options := []trace.SpanStartOption{
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(w.received),
	}
	if publisher := trace.LinkFromContext(ctx); publisher.SpanContext.IsValid() {
		options = append(options, trace.WithLinks(publisher))
	}
	_, w.span = t.tracer.Start(ctx, "process", options...)
	if !w.span.IsRecording() {
		return
	}
	w.span.SetAttributes(
		attribute.String("messaging.system", "gcp_pubsub"),
		attribute.String("messaging.destination.subscription.name", w.message.Subscription),
		attribute.String("messaging.message.id", w.message.ID),
		attribute.String("cloudevents.event_type", string(typeOf(w))),
		attribute.String("cloudevents.event_source", w.event.Source),
		attribute.String("cloudevents.event_id", w.event.ID))
}

// publisherTrace is the trace context that the message's attributes carry: the
// CloudEvents extension, else that of Google's client.
func publisherTrace(attributes map[string]string) string {
	google := ""
	for name, value := range attributes {
		switch strings.ToLower(name) {
		case "ce-traceparent":
			return value
		case "googclient_traceparent":
			google = value
		}
	}
	return google
}

// maxLinks bounds what a batch's span says about its messages.
const maxLinks = 128

// applying measures one attempt. The context that it returns carries the span
// of the attempt, so that those of the store are below it.
func (t *telemetry) applying(ctx context.Context, works []*Work, changes int) (context.Context, func()) {
	if t == nil {
		return ctx, func() {}
	}
	started := time.Now()
	end := func() {
		t.applyDuration.Record(context.Background(), time.Since(started).Seconds())
		t.batchSize.Record(context.Background(), int64(changes))
	}
	if t.tracer == nil {
		return ctx, end
	}
	var links []trace.Link
	for _, w := range works {
		if w.span != nil && w.span.IsRecording() && len(links) < maxLinks {
			links = append(links, trace.Link{SpanContext: w.span.SpanContext()})
		}
	}
	if len(links) == 0 {
		return ctx, end // nobody watches
	}
	if len(works) == 1 {
		ctx, links = trace.ContextWithSpan(ctx, works[0].span), nil
	}
	ctx, span := t.tracer.Start(ctx, "apply", trace.WithLinks(links...), trace.WithAttributes(
		attribute.Int("registry.batch.messages", len(works)), attribute.Int("registry.batch.changes", changes)))
	return ctx, func() {
		span.End()
		end()
	}
}
