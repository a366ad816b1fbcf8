package consumer

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/envelope"
	"github.com/northstar-engines/realtime-registry/internal/observe"
)

const scope = "github.com/northstar-engines/realtime-registry/internal/consumer"

// telemetry holds the instruments documented in the package comment.
type telemetry struct {
	tracer trace.Tracer

	events             *observe.Counter
	eventLag           *observe.Histogram
	messageLag         *observe.Histogram
	applyDuration      *observe.Histogram
	applyRetries       *observe.Counter
	batchSize          *observe.Histogram
	deadLetters        *observe.Counter
	deadLetterFailures *observe.Counter
	displacedEntries   *observe.Counter
	refusedWouldCount  *observe.Counter
	bornMovedCreations *observe.Counter
	backdatedMoves     *observe.Counter

	close func() // ends what is observed
}

// unknownType is the label of messages whose type is none of ours.
const unknownType events.Type = "unknown"

var (
	seconds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600}
	sizes   = []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}

	eventTypes = events.PublishedTypes()
	types      = observe.Values("event.type", append([]events.Type{unknownType}, eventTypes...)...)
	outcomes   = observe.Values("outcome", handlers.Applied, handlers.Duplicate, handlers.Inapplicable, handlers.Gone, handlers.Refused, handlers.Transient)
	reasons    = observe.Values("reason", envelope.Reasons()...)
)

func newTelemetry(o Options, outstanding func() int64) (*telemetry, error) {
	p := observe.Providers{Logger: o.Logger, MeterProvider: o.MeterProvider, TracerProvider: o.TracerProvider}.OrNoop()
	i := p.Instruments(scope)
	waiting := i.Gauge("registry.messages.outstanding", "{message}", "Messages delivered and not yet settled.")
	t := &telemetry{
		tracer: p.TracerProvider.Tracer(scope),

		events: i.CounterOf(hasReasonIfRefused, "registry.events", "{message}",
			"Messages settled, by event type and outcome, and if refused by reason.", types, outcomes, orNone(reasons)),
		eventLag:      i.Histogram("registry.event.lag", "s", "From the event's time until its ack.", seconds),
		messageLag:    i.Histogram("registry.message.lag", "s", "From the message's publish time until its ack.", seconds),
		applyDuration: i.Histogram("registry.apply.duration", "s", "One attempt to apply a batch to the store.", seconds),
		applyRetries:  i.Counter("registry.apply.retries", "{attempt}", "Attempts that left changes to be tried again."),
		batchSize:     i.Histogram("registry.batch.size", "{change}", "Changes in one attempt.", sizes),
		deadLetters:   i.Counter("registry.dead_letters", "{message}", "Dead letters that the topic has confirmed, by reason.", reasons),
		deadLetterFailures: i.Counter("registry.dead_letter.failures", "{message}",
			"Dead letters that could not be published, by reason; their messages were nacked.", reasons),
		displacedEntries: i.Counter("registry.displaced", "{event}",
			"Events acknowledged earlier whose place another one took: a move under the same name, a creation by another tenant."),
		refusedWouldCount: i.Counter("registry.history_full.would_count", "{move}",
			"Moves refused as history_full that would have changed the owner."),
		bornMovedCreations: i.Counter("registry.born_moved", "{creation}",
			"Creations caught at their birth by a move of the whole tenant that is older than their publication."),
		backdatedMoves: i.Counter("registry.moves.backdated", "{move}",
			"Moves of whole tenants whose time is more than the clock skew before their publication."),
	}
	t.close = i.Collect(func(_ context.Context, o metric.Observer) { o.ObserveInt64(waiting, outstanding()) }, waiting)
	return t, i.Err()
}

// hasReasonIfRefused reports whether there is such a series of registry.events.
func hasReasonIfRefused(values []string) bool {
	return (values[1] == string(handlers.Refused)) == (values[2] != "")
}

// orNone is a label that may be absent.
func orNone(l observe.Label) observe.Label {
	return observe.Label{Name: l.Name, Values: append([]string{""}, l.Values...)}
}

// settled counts a message and ends its span. Lags are those of messages that
// are done: a nacked one comes again.
func (t *telemetry) settled(w *work, r handlers.Result, now time.Time) {
	ctx := context.Background()
	reason := ""
	if r.Refusal != nil {
		reason = string(r.Refusal.Reason)
	}
	t.events.Add(ctx, 1, string(typeOf(w)), string(r.Outcome), reason)
	if r.Outcome != handlers.Transient {
		t.messageLag.Record(ctx, now.Sub(w.message.PublishTime).Seconds())
		if w.event.Data != nil {
			t.eventLag.Record(ctx, now.Sub(w.event.Time).Seconds())
		}
	}
	if w.span == nil {
		return
	}
	w.span.SetAttributes(attribute.String("registry.outcome", string(r.Outcome)))
	switch r.Outcome {
	case handlers.Refused:
		w.span.SetStatus(codes.Error, r.Refusal.Error())
	case handlers.Transient:
		w.span.SetStatus(codes.Error, r.Err.Error())
	}
	w.span.End(trace.WithTimestamp(now))
}

// typeOf returns a bounded label: publishers must not choose its values.
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
	if err != nil {
		t.deadLetterFailures.Add(context.Background(), 1, string(reason))
		return
	}
	t.deadLetters.Add(context.Background(), 1, string(reason))
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
		t.batchSize.Record(context.Background(), float64(changes))
	}
	var links []trace.Link
	for _, w := range works {
		if w.span != nil && w.span.IsRecording() && len(links) < maxLinks {
			links = append(links, trace.Link{SpanContext: w.span.SpanContext()})
		}
	}
	if len(links) == 0 {
		return ctx, end // nothing is traced
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
