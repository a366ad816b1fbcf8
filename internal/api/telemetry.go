package api

import (
	"cmp"
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
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/northstar-engines/realtime-registry/internal/observe"
	"github.com/northstar-engines/realtime-registry/internal/problem"
	"github.com/northstar-engines/realtime-registry/registry"
)

const scope = "github.com/northstar-engines/realtime-registry/internal/api"

// telemetry holds the instruments documented in the package comment. Names and
// labels are those of OpenTelemetry's semantic conventions for HTTP servers; those
// that a caller could choose freely, such as the host, are left out.
type telemetry struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	traces     bool // spans may go somewhere
	duration   metric.Float64Histogram
	refusals   *observe.Counter
	labels     labels
	log        *observe.LimitedLog
}

func newTelemetry(o Options) (*telemetry, error) {
	i := observe.Providers{MeterProvider: o.MeterProvider}.Instruments(scope)
	duration := i.BareHistogram("http.server.request.duration", "s", "HTTP requests, by method, route and status.",
		[]float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		observe.Label{Name: "http.request.method"}, observe.Label{Name: "http.route"}, observe.Label{Name: "http.response.status_code"})
	_, untraced := o.TracerProvider.(tracenoop.TracerProvider)
	return &telemetry{
		traces: !untraced,
		tracer: o.TracerProvider.Tracer(scope), propagator: o.Propagator, duration: duration,
		refusals: i.Counter("registry.api.tokens.refused", "{request}", "Requests that are answered 401, by reason.",
			observe.Values("reason", tokenMissing, tokenUnknown, tokenOther)),
		log: observe.NewLimitedLog(o.Logger, 10, 50),
	}, i.Err()
}

// exchange is one request and its answer, for telemetry.
type exchange struct {
	*telemetry
	answer  *answer
	request *http.Request
	pattern string // empty if there is no route
	began   time.Time
	span    trace.Span // nil until the request is traced
	done    bool       // it has been recorded
}

// begin wraps the ResponseWriter of a request. The route is nil if there is none.
func (t *telemetry) begin(w http.ResponseWriter, r *http.Request, route *route, draining *atomic.Bool) *exchange {
	x := &exchange{telemetry: t, answer: &answer{ResponseWriter: w, draining: draining}, request: r, began: time.Now()}
	if route != nil {
		x.pattern = route.pattern
	}
	return x
}

// trace begins the span of a request that is let in. With a token, it is in the
// caller's trace, and the caller decides whether it is sampled. Otherwise it begins
// a trace, with a link to the caller's. If nothing is traced, the log has the
// caller's trace id either way.
func (x *exchange) trace(r *http.Request, known bool) *http.Request {
	ctx := x.propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(x.began)}
	if !known {
		options = append(options, trace.WithNewRoot())
		if caller := trace.LinkFromContext(ctx); caller.SpanContext.IsValid() {
			options = append(options, trace.WithLinks(caller))
		}
	}
	ctx, x.span = x.tracer.Start(ctx, cmp.Or(r.Pattern, r.Method+" "+x.pattern), options...)
	x.request = r.WithContext(ctx)
	return x.request
}

// end, deferred, records the exchange, and turns a panic into a 500.
func (x *exchange) end() {
	if fault := recover(); fault != nil {
		x.panicked(x.answer, x.request, fault)
	}
	x.record()
}

// record adds the exchange to the metrics, once. That is at its end, or earlier if the
// connection is no longer one of requests.
func (x *exchange) record() {
	if x.done {
		return
	}
	x.done = true
	set := x.labels.of(method(x.request), x.pattern, x.answer.code())
	x.duration.Record(x.request.Context(), time.Since(x.began).Seconds(), set.record...)
	if x.span == nil {
		return
	}
	x.span.SetAttributes(set.attributes...)
	x.tellResource()
	if x.answer.code() >= 500 {
		x.span.SetStatus(codes.Error, "")
	}
	x.span.End()
}

// tellResource adds the resource of a check or claim to the span, as in its answer.
func (x *exchange) tellResource() {
	if x.answer.ResponseWriter == nil || !x.span.IsRecording() {
		return
	}
	tenantID, resource, _ := strings.Cut(x.answer.Header().Get(askedHeader), " ")
	if strings.HasPrefix(resource, string(registry.Thread)+"/") || strings.HasPrefix(resource, string(registry.Canvas)+"/") {
		x.span.SetAttributes(attribute.String("registry.tenant_id", tenantID), attribute.String("registry.resource", resource))
	}
}

// panicked answers 500 if nothing was answered yet. http.ErrAbortHandler is
// intended by a handler, and is passed on.
func (t *telemetry) panicked(answer *answer, r *http.Request, fault any) {
	if err, ok := fault.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(fault)
	}
	t.logError(r, fmt.Errorf("panic: %v\n%s", fault, debug.Stack()))
	if answer.status == 0 {
		problem.New(http.StatusInternalServerError, "internal error").Write(answer)
	}
}

// refused records a request without the token that it needs. It does not record the
// token, which may be valid elsewhere.
func (x *exchange) refused(r *http.Request, reason string) {
	x.refusals.Add(r.Context(), 1, reason)
	x.log.Write(r.Context(), "token", slog.LevelWarn, "token refused",
		slog.String("reason", reason), slog.String("method", method(r)), slog.String("route", x.pattern), slog.String("from", r.RemoteAddr))
}

func (t *telemetry) logError(r *http.Request, err error) {
	t.log.Write(r.Context(), "", slog.LevelError, "request failed", slog.String("route", r.Pattern), slog.Any("error", err))
}

// method returns the method, with a bounded set of values.
func method(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodDelete, http.MethodPatch, http.MethodOptions:
		return r.Method
	}
	return "_OTHER"
}

// answer remembers the status, and closes the connection if the server drains by
// the time it is written.
type answer struct {
	http.ResponseWriter
	draining *atomic.Bool
	status   int // 0: nothing answered yet
}

func (a *answer) code() int {
	if a.status == 0 {
		return http.StatusOK
	}
	return a.status
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= 200 { // 1xx are not the answer
		a.begin(status)
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.begin(http.StatusOK)
	}
	return a.ResponseWriter.Write(b)
}

func (a *answer) begin(status int) {
	a.status = status
	if a.draining.Load() {
		a.Header().Set("Connection", "close")
	}
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
