// Package middleware puts the verifier before the handlers of a streaming
// transport: an SSE handler, or one that upgrades to a WebSocket.
//
//	protect, err := middleware.New(v, middleware.Options{
//		Tenant:   func(r *http.Request) string { return tenantOf(r.Context()) },
//		Resource: func(r *http.Request) registry.Resource {
//			return registry.Resource{Kind: registry.Thread, ID: r.PathValue("thread")}
//		},
//	})
//	mux.Handle("GET /threads/{thread}/events", protect(events))
//
// # Answers
//
// The handler runs only where the tenant owns the resource at that moment.
// Otherwise it does not, nothing has been upgraded or streamed, and the answer
// is application/problem+json, the same as that of the HTTP API: 404 in constant
// bytes whether nobody owns the resource or somebody else does, 503 with
// Retry-After where the store did not answer, 400 where the tenant or the id
// breaks its pattern. A browser's EventSource gives up on each of them; it comes
// back by itself only when a stream ends that had begun.
//
// A resume is a request as any other, with Last-Event-ID or without, and is
// verified again. A stream that is already open is not cut when its resource
// moves away.
//
// Put it after what authenticates (it trusts Options.Tenant) and after what
// answers CORS preflights, which carry no credentials.
//
// # Cut-over
//
// With ReportOnly every request passes, and what would have been refused is
// reported: for the days between switching the middleware on and trusting the
// registry to be complete. It protects nothing. A request still waits for its
// check, at most the Timeout and the MissGrace of the verifier.
//
// # Telemetry
//
// The verifier's own, and with ReportOnly the counter
// registry.middleware.report_only (requests that passed and would not have), by
// outcome (refused, invalid, unavailable), and a log line each, ten a second at
// most; what was held back is counted in the next line.
package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"golang.org/x/time/rate"

	"github.com/northstar-engines/realtime-registry/internal/problem"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Verifier answers access checks: a *verifier.Verifier.
type Verifier interface {
	Verify(ctx context.Context, tenantID string, resource registry.Resource) error
}

// Options of the middleware.
type Options struct {
	// Tenant returns the tenant that the request was authenticated for; "" is
	// refused as invalid. Required.
	Tenant func(*http.Request) string

	// Resource returns what the request wants to stream. Required.
	Resource func(*http.Request) registry.Resource

	// ReportOnly lets every request pass and reports those that would have been
	// refused. For the cut-over only: it protects nothing.
	ReportOnly bool

	// Where telemetry goes. Default: nowhere; with ReportOnly, give at least
	// one of them.
	Logger        *slog.Logger
	MeterProvider metric.MeterProvider
}

// Validate returns every fault of the options, joined; nil where there is none.
func (o Options) Validate() error {
	var faults []error
	if o.Tenant == nil {
		faults = append(faults, errors.New("option Tenant is missing: the function that tells which tenant asks"))
	}
	if o.Resource == nil {
		faults = append(faults, errors.New("option Resource is missing: the function that tells what is asked for"))
	}
	if o.ReportOnly && o.Logger == nil && o.MeterProvider == nil {
		faults = append(faults, errors.New("option ReportOnly reports nowhere: give a Logger or a MeterProvider"))
	}
	return errors.Join(faults...)
}

// New returns what wraps a handler so that only the owner gets to it. The error
// lists every fault of the options.
func New(v Verifier, options Options) (func(http.Handler) http.Handler, error) {
	if err := options.Validate(); err != nil {
		return nil, fmt.Errorf("middleware options: %w", err)
	}
	if !options.ReportOnly {
		return func(next http.Handler) http.Handler { return enforce(v, options, next) }, nil
	}
	report, err := newReport(options)
	if err != nil {
		return nil, fmt.Errorf("middleware telemetry: %w", err)
	}
	return func(next http.Handler) http.Handler { return reportOnly(v, options, report, next) }, nil
}

func enforce(v Verifier, o Options, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := v.Verify(r.Context(), o.Tenant(r), o.Resource(r)); err != nil {
			problem.Of(err).Write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func reportOnly(v Verifier, o Options, report *report, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tenantID, resource := o.Tenant(r), o.Resource(r)
		if err := v.Verify(r.Context(), tenantID, resource); err != nil {
			report.passed(r.Context(), tenantID, resource, err)
		}
		next.ServeHTTP(w, r)
	})
}

// report tells what passed that should not have.
type report struct {
	logger *slog.Logger
	count  metric.Int64Counter
	lines  *rate.Limiter
	held   atomic.Int64 // lines held back since the last one
}

func newReport(o Options) (*report, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MeterProvider == nil {
		o.MeterProvider = noop.NewMeterProvider()
	}
	count, err := o.MeterProvider.Meter("github.com/northstar-engines/realtime-registry/registry/verifier/middleware").
		Int64Counter("registry.middleware.report_only", metric.WithUnit("{request}"),
			metric.WithDescription("Requests that passed and would have been refused, by outcome."))
	o.Logger.Warn("report only: every request passes, nothing is protected")
	return &report{logger: o.Logger, count: count, lines: rate.NewLimiter(10, 50)}, err
}

func (p *report) passed(ctx context.Context, tenantID string, resource registry.Resource, err error) {
	outcome := "unavailable"
	switch {
	case errors.Is(err, registry.ErrNotFound):
		outcome = "refused"
	case errors.Is(err, registry.ErrInvalid):
		outcome = "invalid"
	}
	p.count.Add(ctx, 1, metric.WithAttributes(attribute.String("outcome", outcome)))
	if !p.lines.Allow() {
		p.held.Add(1)
		return
	}
	p.logger.WarnContext(ctx, "report only: let pass what would have been refused",
		"tenant_id", tenantID, "resource", resource.String(), "outcome", outcome, "error", err, "held_back", p.held.Swap(0))
}
