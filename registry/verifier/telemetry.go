package verifier

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/northstar-engines/realtime-registry/registry"
)

const scope = "github.com/northstar-engines/realtime-registry/registry/verifier"

// telemetry holds the instruments documented in the package comment, except the
// cache's.
type telemetry struct {
	tracer        trace.Tracer
	checkDuration metric.Float64Histogram
	missing       metric.Int64Counter
	lateArrival   metric.Float64Histogram
	readDuration  metric.Float64Histogram
	readResources metric.Int64Counter
	refusals      *refusals
	log           *refusalLog
}

func newTelemetry(o Options) (*telemetry, error) {
	meter := o.MeterProvider.Meter(scope)
	quick := metric.WithExplicitBucketBoundaries(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)
	late := metric.WithExplicitBucketBoundaries(.01, .025, .05, .1, .25, .5, 1, 2, 5, 10, 30, 60, 300, 1800)
	var errs [5]error
	t := &telemetry{tracer: o.TracerProvider.Tracer(scope), refusals: newRefusals(), log: newRefusalLog(o.Logger)}
	t.checkDuration, errs[0] = meter.Float64Histogram("registry.verifier.check.duration", metric.WithUnit("s"), quick,
		metric.WithDescription("Access checks, by kind and outcome."))
	t.missing, errs[1] = meter.Int64Counter("registry.verifier.refusals", metric.WithUnit("{check}"),
		metric.WithDescription("Refused access checks, by kind and cause."))
	t.lateArrival, errs[2] = meter.Float64Histogram("registry.verifier.late_arrival", metric.WithUnit("s"), late,
		metric.WithDescription("Ownerships that came after a check had missed them: how long after."))
	t.readDuration, errs[3] = meter.Float64Histogram("registry.verifier.read.duration", metric.WithUnit("s"), quick,
		metric.WithDescription("Reads of the store, by outcome."))
	t.readResources, errs[4] = meter.Int64Counter("registry.verifier.read.resources", metric.WithUnit("{resource}"),
		metric.WithDescription("Resources read from the store."))
	return t, errors.Join(errs[:]...)
}

// check is one access check under way.
type check struct {
	*telemetry
	kind         attribute.KeyValue
	span         trace.Span
	began        time.Time
	firstRefusal *sighting // what began the grace; nil if there was none
}

func (t *telemetry) begin(ctx context.Context, kind registry.Kind) (context.Context, *check) {
	label := attribute.String("kind", string(kind))
	if kind != registry.Thread && kind != registry.Canvas {
		label = attribute.String("kind", "other")
	}
	ctx, span := t.tracer.Start(ctx, "registry.verify", trace.WithAttributes(label))
	return ctx, &check{telemetry: t, kind: label, span: span, began: time.Now()}
}

func (c *check) end(ctx context.Context, err error) {
	outcome := attribute.String("outcome", outcomeOf(ctx, err))
	c.checkDuration.Record(ctx, time.Since(c.began).Seconds(), metric.WithAttributes(c.kind, outcome))
	c.span.SetAttributes(outcome)
	if errors.Is(err, registry.ErrUnavailable) {
		c.span.SetStatus(codes.Error, err.Error())
	}
	c.span.End()
}

func outcomeOf(ctx context.Context, err error) string {
	switch {
	case err == nil:
		return "allowed"
	case errors.Is(err, registry.ErrNotFound):
		return "refused"
	case errors.Is(err, registry.ErrInvalid):
		return "invalid"
	case errors.Is(err, errShed):
		return "shed"
	case errors.Is(ctx.Err(), context.Canceled): // the caller has gone; not the store's fault
		return "abandoned"
	}
	return "unavailable"
}

// The causes of a refusal; for telemetry only.
const (
	unregistered = "unregistered" // nobody owns it
	foreign      = "foreign"      // somebody else does
	movedAway    = "moved_away"   // somebody else does, and the tenant did before
)

func (s sighting) cause(tenantID string) string {
	path := s.record.History.Path(s.ledger)
	for _, owner := range path {
		if owner == tenantID {
			return movedAway
		}
	}
	if len(path) == 0 {
		return unregistered
	}
	return foreign
}

// refused records a refusal.
func (c *check) refused(ctx context.Context, tenantID string, resource registry.Resource, seen sighting) {
	cause := seen.cause(tenantID)
	c.telemetry.missing.Add(ctx, 1, metric.WithAttributes(c.kind, attribute.String("cause", cause)))
	c.span.AddEvent("registry.refused", trace.WithAttributes(
		attribute.String("tenant_id", tenantID),
		attribute.String("resource", resource.String()),
		attribute.String("cause", cause)))
	since := seen.readTime
	if c.firstRefusal != nil {
		since = c.firstRefusal.readTime
	}
	now := time.Now()
	key := refusalKey{tenantID, resource}
	if c.refusals.add(key, refusal{cause: cause, since: since}, now) {
		c.log.write(ctx, key, cause, now)
	} else {
		c.log.hold()
	}
}

// allowed records a late arrival if the check had been refused before.
func (c *check) allowed(ctx context.Context, tenantID string, resource registry.Resource, seen sighting) {
	m, refused := c.refusals.take(refusalKey{tenantID, resource}, time.Now())
	switch {
	case refused:
	case c.firstRefusal != nil:
		m = refusal{cause: c.firstRefusal.cause(tenantID), since: c.firstRefusal.readTime}
	default:
		return
	}
	arrived := seen.record.UpdateTime
	if !arrived.After(m.since) { // owned through the ledger: no document was written
		arrived = seen.readTime
	}
	late := max(0, arrived.Sub(m.since))
	c.lateArrival.Record(ctx, late.Seconds(), metric.WithAttributes(
		c.kind, attribute.String("cause", m.cause), attribute.Bool("bridged", !refused)))
	c.span.AddEvent("registry.late_arrival", trace.WithAttributes(
		attribute.String("tenant_id", tenantID),
		attribute.String("resource", resource.String()),
		attribute.Float64("late_seconds", late.Seconds())))
}

// storeRead is one read of the store under way.
type storeRead struct {
	*telemetry
	ctx   context.Context
	span  trace.Span
	began time.Time
}

// beginRead starts the read's span: in the trace of its first check, linked to
// the others'.
func (t *telemetry) beginRead(ctx context.Context, places []*place, resources int) (context.Context, storeRead) {
	ctx = trace.ContextWithSpanContext(ctx, places[0].span)
	var links []trace.Link
	for _, p := range places[1:] {
		if p.span.IsSampled() {
			links = append(links, trace.Link{SpanContext: p.span})
		}
	}
	ctx, span := t.tracer.Start(ctx, "registry.verifier.read", trace.WithLinks(links...),
		trace.WithAttributes(attribute.Int("resources", resources)))
	t.readResources.Add(ctx, int64(resources))
	return ctx, storeRead{telemetry: t, ctx: ctx, span: span, began: time.Now()}
}

func (r storeRead) end(err error) {
	outcome := "ok"
	switch {
	case err != nil && errors.Is(r.ctx.Err(), context.Canceled):
		outcome = "abandoned"
	case err != nil:
		outcome = "error"
		r.span.SetStatus(codes.Error, err.Error())
	}
	r.readDuration.Record(r.ctx, time.Since(r.began).Seconds(), metric.WithAttributes(attribute.String("outcome", outcome)))
	r.span.End()
}
