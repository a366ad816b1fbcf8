package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"github.com/northstar-engines/realtime-registry/internal/problem"
)

const scope = "github.com/northstar-engines/realtime-registry/internal/api"

// telemetry is what the package comment lists. Names and labels are those of
// OpenTelemetry's semantic conventions for HTTP servers; those that a caller
// could choose freely, such as the host, are left out.
type telemetry struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	duration   metric.Float64Histogram
	logger     *slog.Logger
	lines      *rate.Limiter
	held       atomic.Int64 // log lines held back since the last one
}

func newTelemetry(o Options) (*telemetry, error) {
	duration, err := o.MeterProvider.Meter(scope).Float64Histogram("http.server.request.duration",
		metric.WithUnit("s"), metric.WithDescription("HTTP requests, by method, route and status."),
		metric.WithExplicitBucketBoundaries(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10))
	return &telemetry{
		tracer: o.TracerProvider.Tracer(scope), propagator: o.Propagator, duration: duration,
		logger: o.Logger, lines: rate.NewLimiter(10, 50),
	}, err
}

// begin wraps what a request is answered with; done, deferred, records it, and
// turns a panic into a 500. The route is nil where there is none.
func (t *telemetry) begin(w http.ResponseWriter, r *http.Request, route *route) (http.ResponseWriter, *http.Request, func()) {
	began := time.Now()
	answer := &answer{ResponseWriter: w}
	pattern := ""
	if route != nil {
		pattern = route.pattern
	}
	var span trace.Span
	if strings.HasPrefix(pattern, "/v1/") {
		ctx := t.propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span = t.tracer.Start(ctx, r.Pattern, trace.WithSpanKind(trace.SpanKindServer))
		r = r.WithContext(ctx)
	}
	return answer, r, func() {
		if fault := recover(); fault != nil {
			t.panicked(answer, r, fault)
		}
		labels := []attribute.KeyValue{
			attribute.String("http.request.method", method(r)),
			attribute.String("http.route", pattern),
			attribute.Int("http.response.status_code", answer.code()),
		}
		t.duration.Record(r.Context(), time.Since(began).Seconds(), metric.WithAttributes(labels...))
		if span != nil {
			span.SetAttributes(labels...)
			if answer.code() >= 500 {
				span.SetStatus(codes.Error, "")
			}
			span.End()
		}
	}
}

// panicked answers 500 where nothing was answered yet. http.ErrAbortHandler is a
// handler's own wish, and goes on.
func (t *telemetry) panicked(answer *answer, r *http.Request, fault any) {
	if err, ok := fault.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(fault)
	}
	t.logError(r, fmt.Errorf("panic: %v\n%s", fault, debug.Stack()))
	if answer.status == 0 {
		problem.New(http.StatusInternalServerError, "internal error").Write(answer)
	}
}

func (t *telemetry) logError(r *http.Request, err error) {
	if !t.lines.Allow() {
		t.held.Add(1)
		return
	}
	t.logger.ErrorContext(r.Context(), "request failed", "route", r.Pattern, "error", err, "held_back", t.held.Swap(0))
}

// method keeps the label bounded.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodPatch, http.MethodOptions:
		return r.Method
	}
	return "_OTHER"
}

// answer remembers the status.
type answer struct {
	http.ResponseWriter
	status int // 0: nothing answered yet
}

func (a *answer) code() int {
	if a.status == 0 {
		return http.StatusOK
	}
	return a.status
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= 200 { // 1xx are not the answer
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
