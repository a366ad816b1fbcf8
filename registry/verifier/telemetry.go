package verifier

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	nooptrace "go.opentelemetry.io/otel/trace/noop"

	"github.com/northstar-engines/realtime-registry/internal/observe"
	"github.com/northstar-engines/realtime-registry/registry"
)

const scope = "github.com/northstar-engines/realtime-registry/registry/verifier"

// telemetry holds the instruments documented in the package comment, except the
// cache's.
type telemetry struct {
	tracer        trace.Tracer
	traced        bool // spans may go somewhere
	checkDuration *observe.Histogram
	refusalCount  *observe.Counter
	lateArrival   *observe.Histogram
	readDuration  *observe.Histogram
	readResources *observe.Counter
	refusals      *refusals
	log           *observe.LimitedLog
}

var (
	quick = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	late  = []float64{.01, .025, .05, .1, .25, .5, 1, 2, 5, 10, 30, 60, 300, 1800}

	kinds         = observe.Values("kind", registry.Thread, registry.Canvas)
	askedKinds    = observe.Values("kind", registry.Thread, registry.Canvas, otherKind)
	causes        = observe.Values("cause", unregistered, foreign, movedAway, deleted)
	checkOutcomes = observe.Values("outcome", "allowed", "refused", "invalid", "unavailable", "shed", "abandoned")
)

// otherKind is the label of unknown kinds.
const otherKind = "other"

func newTelemetry(o Options) (*telemetry, error) {
	p := observe.Providers{Logger: o.Logger, MeterProvider: o.MeterProvider, TracerProvider: o.TracerProvider}.OrNoop()
	i := p.Instruments(scope)
	_, untraced := p.TracerProvider.(nooptrace.TracerProvider)
	return &telemetry{
		tracer:        p.TracerProvider.Tracer(scope),
		traced:        !untraced,
		checkDuration: i.Histogram("registry.verifier.check.duration", "s", "Access checks that were not answered from memory, by kind and outcome.", quick, askedKinds, checkOutcomes),
		refusalCount:  i.Counter("registry.verifier.refusals", "{check}", "Refused access checks, by kind and cause.", kinds, causes),
		lateArrival: i.Histogram("registry.verifier.late_arrival", "s",
			"Ownerships that came after a check had been refused: how long after, by kind, cause and whether the grace bridged it.",
			late, kinds, causes, observe.Values("bridged", "true", "false")),
		readDuration:  i.Histogram("registry.verifier.read.duration", "s", "Reads of the store, by outcome.", quick, observe.Values("outcome", "ok", "abandoned", "error")),
		readResources: i.Counter("registry.verifier.read.resources", "{resource}", "Resources read from the store."),
		refusals:      newRefusals(),
		log:           observe.NewLimitedLog(p.Logger, linesPerSecond, lineBurst),
	}, i.Err()
}

// check is one access check in progress.
type check struct {
	*telemetry
	kind         string
	span         trace.Span
	began        time.Time
	firstRefusal *sighting // the refusal that began the grace, if any
}

func (t *telemetry) begin(ctx context.Context, tenantID string, resource registry.Resource) (context.Context, *check) {
	ctx, span := t.tracer.Start(ctx, "registry.verify")
	if span.IsRecording() {
		span.SetAttributes(asked(tenantID, resource)...)
	}
	return ctx, &check{telemetry: t, kind: kindOf(resource), span: span, began: time.Now()}
}

// fromMemory records a span for a check that memory answered, if its caller is
// traced, so that every check of a trace can be found by its resource.
func (t *telemetry) fromMemory(ctx context.Context, tenantID string, resource registry.Resource) {
	if !t.traced || !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	_, span := t.tracer.Start(ctx, "registry.verify", trace.WithAttributes(asked(tenantID, resource)...),
		trace.WithAttributes(attribute.String("registry.outcome", "allowed"), attribute.Bool("registry.from_memory", true)))
	span.End()
}

// asked returns the question of a check, as span attributes.
func asked(tenantID string, resource registry.Resource) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("registry.tenant_id", shortened(tenantID)),
		attribute.String("registry.resource", shortened(resource.String())),
	}
}

// shortened cuts an id, which may be invalid and long, for a span.
func shortened(text string) string {
	const most = 256
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}

func kindOf(resource registry.Resource) string {
	if resource.Kind != registry.Thread && resource.Kind != registry.Canvas {
		return otherKind
	}
	return string(resource.Kind)
}

func (c *check) end(ctx context.Context, err error) {
	outcome := outcomeOf(ctx, err)
	c.checkDuration.Record(ctx, time.Since(c.began).Seconds(), c.kind, outcome)
	c.span.SetAttributes(attribute.String("registry.outcome", outcome))
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
	case errors.Is(ctx.Err(), context.Canceled): // the caller has left; not the store's fault
		return "abandoned"
	}
	return "unavailable"
}

// The causes of a refusal; for telemetry only.
const (
	unregistered = "unregistered" // there is no owner
	foreign      = "foreign"      // another tenant owns it
	movedAway    = "moved_away"   // another tenant owns it, and this one did before
	deleted      = "deleted"      // it is gone for good
)

func (s sighting) cause(tenantID string) string {
	path := s.record.History.Path(s.ledger)
	for _, owner := range path {
		if owner == tenantID {
			return movedAway
		}
	}
	switch {
	case s.record.History.Deleted():
		return deleted
	case len(path) == 0:
		return unregistered
	}
	return foreign
}

// refused records a refusal.
func (c *check) refused(ctx context.Context, tenantID string, resource registry.Resource, seen sighting) {
	cause := seen.cause(tenantID)
	c.refusalCount.Add(ctx, 1, c.kind, cause)
	c.span.AddEvent("registry.refused", trace.WithAttributes(append(asked(tenantID, resource), attribute.String("registry.cause", cause))...))
	since := seen.readTime
	if c.firstRefusal != nil {
		since = c.firstRefusal.readTime
	}
	now := time.Now()
	key := refusalKey{tenantID, resource}
	if !c.refusals.add(key, refusal{cause: cause, since: since}, now) {
		c.log.Suppress("")
		return
	}
	c.log.Write(ctx, "", slog.LevelWarn, "access refused", slog.String("tenant_id", tenantID),
		slog.String("resource", resource.String()), slog.String("cause", cause))
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
	c.lateArrival.Record(ctx, late.Seconds(), c.kind, m.cause, strconv.FormatBool(!refused))
	c.span.AddEvent("registry.late_arrival", trace.WithAttributes(append(asked(tenantID, resource),
		attribute.Float64("registry.late_seconds", late.Seconds()))...))
}

// storeRead is one read of the store in progress.
type storeRead struct {
	*telemetry
	ctx   context.Context
	span  trace.Span
	began time.Time
}

// beginRead starts the read's span, in the trace of its first check, linked to
// those of the others. If the first check is not traced, there is no span.
func (t *telemetry) beginRead(ctx context.Context, places []*place, resources int) (context.Context, storeRead) {
	t.readResources.Add(ctx, int64(resources))
	if !places[0].span.IsValid() {
		return ctx, storeRead{telemetry: t, ctx: ctx, span: trace.SpanFromContext(ctx), began: time.Now()}
	}
	ctx = trace.ContextWithSpanContext(ctx, places[0].span)
	var links []trace.Link
	for _, p := range places[1:] {
		if p.span.IsSampled() {
			links = append(links, trace.Link{SpanContext: p.span})
		}
	}
	ctx, span := t.tracer.Start(ctx, "registry.verifier.read", trace.WithLinks(links...),
		trace.WithAttributes(attribute.Int("registry.items", resources)))
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
	r.readDuration.Record(r.ctx, time.Since(r.began).Seconds(), outcome)
	r.span.End()
}
