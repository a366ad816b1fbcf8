package regstore

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/registry"
)

const scope = "github.com/northstar-engines/realtime-registry/registry/fsregistry"

// telemetry emits, per call of the store, a span "registry.store.{operation}"
// and registry.store.duration (seconds, by operation and outcome: ok, refused,
// abandoned or error). registry.too_new counts how often something was met that
// this version does not understand, by item: document, ledger or feed.
type telemetry struct {
	tracer   trace.Tracer
	duration metric.Float64Histogram
	unread   *docdb.Unread
}

func newTelemetry(meters metric.MeterProvider, tracers trace.TracerProvider, logger *slog.Logger) (*telemetry, error) {
	if meters == nil {
		meters = metricnoop.NewMeterProvider()
	}
	if tracers == nil {
		tracers = tracenoop.NewTracerProvider()
	}
	duration, err := meters.Meter(scope).Float64Histogram("registry.store.duration",
		metric.WithUnit("s"),
		metric.WithDescription("Time that one call of the store took, with all its requests."),
		metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10))
	tooNew, err2 := meters.Meter(scope).Int64Counter("registry.too_new",
		metric.WithDescription("How often something stored was met that this version does not understand, by item."))
	unread := docdb.NewUnread(tooNew, logger, "what is stored is not understood, and left alone")
	return &telemetry{tracers.Tracer(scope), duration, unread}, errors.Join(err, err2)
}

// start opens a span; the function that it returns ends it.
func (t *telemetry) start(ctx context.Context, operation string, items int) (context.Context, func(error)) {
	began := time.Now()
	ctx, span := t.tracer.Start(ctx, "registry.store."+operation,
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("db.system.name", "gcp.firestore"), attribute.Int("registry.items", items)))
	return ctx, func(err error) {
		outcome := outcomeOf(ctx, err)
		if outcome == failed {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
		t.duration.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(
			attribute.String("operation", operation), attribute.String("outcome", outcome)))
	}
}

// The outcomes of a call. Of these only failed says something about the store.
const (
	succeeded = "ok"
	refused   = "refused"   // what was asked for cannot be: taken by another tenant, or no valid id
	abandoned = "abandoned" // the caller has gone
	failed    = "error"
)

func outcomeOf(ctx context.Context, err error) string {
	switch {
	case err == nil:
		return succeeded
	case errors.Is(err, registry.ErrConflict), errors.Is(err, registry.ErrInvalid), errors.Is(err, registry.ErrNotFound):
		return refused
	case errors.Is(ctx.Err(), context.Canceled):
		return abandoned
	}
	return failed
}

// tooNew counts and tells that a process met what it does not understand, and
// returns the error. What is one of: document, ledger, feed.
func (s *Store) tooNew(ctx context.Context, what string, err error) error {
	if errors.Is(err, registry.ErrTooNew) {
		s.telemetry.unread.Tell(ctx, what, err)
	}
	return err
}
