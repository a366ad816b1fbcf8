package regstore

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/northstar-engines/realtime-registry/internal/observe"
	"github.com/northstar-engines/realtime-registry/registry"
)

const scope = "github.com/northstar-engines/realtime-registry/registry/fsregistry"

// telemetry emits, per call of the store, registry.store.duration (seconds, by
// operation and outcome: ok, refused, abandoned or error) and, within a trace, a
// span "registry.store.{operation}". registry.too_new counts how often something
// was met that this version does not understand, by item: document, ledger, feed or
// outbox; registry.plain_sets.unexpected, how often a document that was written with
// a plain set although the registry says that no program does;
// registry.tombstones.set, how often a deleted resource was met to which another
// program had given a tenant; registry.ledger.went_back, how often the head was found
// where it was before. A log line tells of each, ten at once and then one every ten
// seconds.
type telemetry struct {
	tracer    trace.Tracer
	duration  *observe.Histogram
	tooNew    *observe.Counter
	plainSets *observe.Counter
	// tombstonesSet counts tombstones that have a tenant.
	tombstonesSet *observe.Counter
	wentBack      *observe.Counter
	log           *observe.LimitedLog
}

var (
	operations = observe.Values("operation", "apply", "claim", "read", "changes", "change_ledger", "moves", "load", "snapshot",
		"lease_job", "affected", "count_affected", "rewrite", "forget", "sweep_outbox")
	outcomes = observe.Values("outcome", succeeded, refused, abandoned, failed)
)

func newTelemetry(p observe.Providers) (*telemetry, error) {
	p = p.OrNoop()
	i := p.Instruments(scope)
	return &telemetry{
		tracer: p.TracerProvider.Tracer(scope),
		duration: i.Histogram("registry.store.duration", "s",
			"Time that one call of the store took, with all its requests, by operation and outcome; refused is what was asked for, error the store.",
			[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}, operations, outcomes),
		tooNew: i.Counter("registry.too_new", "{item}",
			"How often something stored was met that this version does not understand, by item.", observe.Values("item", "document", "ledger", "feed", "outbox")),
		plainSets: i.Counter("registry.plain_sets.unexpected", "{document}",
			"Documents that were found written with a plain set although the registry says that no program does that any more."),
		tombstonesSet: i.Counter("registry.tombstones.set", "{document}",
			"Documents of deleted resources that were found with a tenant, which another program had put there, and which has no effect."),
		wentBack: i.Counter("registry.ledger.went_back", "{read}",
			"Reads that found the ledger at an earlier position than before: the database was restored, and must be recovered."),
		log: observe.NewLimitedLog(p.Logger, .1, 10),
	}, i.Err()
}

// start begins a call; the function that it returns ends it. It is a span of the
// trace that it belongs to. Outside of one it is none: polls, the feed and the
// rewriting call the store all the time, and a trace of one call says nothing that
// is not measured.
func (t *telemetry) start(ctx context.Context, operation string, items int) (context.Context, func(error)) {
	began, span := time.Now(), trace.SpanFromContext(context.Background())
	if trace.SpanContextFromContext(ctx).IsValid() {
		ctx, span = t.tracer.Start(ctx, "registry.store."+operation,
			trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(attribute.String("db.system.name", "gcp.firestore"), attribute.Int("registry.items", items)))
	}
	return ctx, func(err error) {
		outcome := outcomeOf(ctx, err)
		if outcome == failed {
			span.SetStatus(codes.Error, err.Error())
		}
		span.SetAttributes(attribute.String("registry.outcome", outcome))
		span.End()
		t.duration.Record(ctx, time.Since(began).Seconds(), operation, outcome)
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

// tooNew counts and logs that a process met what it does not understand, and
// returns the error. An item is a document, ledger, feed or outbox.
func (s *Store) tooNew(ctx context.Context, item string, err error) error {
	if errors.Is(err, registry.ErrTooNew) {
		s.telemetry.tooNew.Add(ctx, 1, item)
		s.telemetry.log.Write(ctx, "", slog.LevelError, "what is stored is not understood, and left alone",
			slog.Any("error", err), slog.String("item", item))
	}
	return err
}
