// Package verifierhttp puts the verifier before the handlers of a streaming
// transport: an SSE handler, or one that upgrades to a WebSocket.
//
//	protect, err := verifierhttp.New(v, verifierhttp.Options{
//		Tenant:   func(r *http.Request) string { return tenantOf(r.Context()) },
//		Resource: func(r *http.Request) registry.Resource {
//			return registry.Resource{Kind: registry.Thread, ID: r.PathValue("thread")}
//		},
//	})
//	mux.Handle("GET /threads/{thread}/events", protect(events))
//
// # Answers
//
// The handler runs only if the tenant owns the resource at that moment.
// Otherwise nothing is upgraded or streamed, and the answer is
// application/problem+json, the same as that of the HTTP API:
//
//   - 404, in constant bytes, whether the resource is missing or another tenant
//     owns it;
//   - 503, with Retry-After, if the store did not answer;
//   - 400, if the tenant or the id breaks its pattern.
//
// A browser's EventSource gives up for good on each of them; it reconnects by
// itself only if a stream that had begun ends. So a request that accepts
// text/event-stream is not answered 503: it gets 200, and only the last event. Its
// field "retry" is three seconds and a random part of Options.ReturnOver, never
// less than the Retry-After that others get. Options.PlainStatus is for clients
// that look at the status.
//
// A resume is a request like any other, with Last-Event-ID or without, and is
// verified again.
//
// # Open streams
//
// A stream is ended when its tenant has lost the resource. The guard knows of the
// loss within the verifier's MaxStaleness of the change, usually within
// milliseconds. At that moment the request's context ends, with the cause ErrLost;
// from then on writes, flushes, reads of the request's body, deadlines and
// hijacking fail with it, and nothing that the handler writes or sets is sent.
// Two seconds later at the latest the client has been told, or cannot be, and its
// stream is closed, whatever handler and client do:
//
//   - A write that is blocked on a slow client fails after a second.
//   - If no write is under way, the client is told at once. An event stream gets a
//     last event, CloseEvent ("registry.closed"), whose data is ReasonLost
//     ("ownership_lost"), and which says when to come back. A WebSocket gets a close
//     frame with code 4404 and the reason. A request that has no answer yet gets a
//     404 without the handler's headers. Any other stream just ends.
//   - A handler that has not returned after a second has the connection closed
//     under it (HTTP/1.1), or the stream reset (HTTP/2).
//
// An EventSource that comes back gets a 404, and gives up. If the handler has left
// an event unfinished, the client is told when to come back, but not why: the last
// event would complete the unfinished one and dispatch it with its id, and a client
// that resumes would miss the rest. If the handler encodes the answer, or has
// promised its length, the client is told nothing.
//
// A move of a large tenant ends all its streams at once. Each end that the guard
// makes has the field "retry", of a second and a random part of Options.ReturnOver,
// so that the clients do not all come back at once. The guard adds nothing to an end
// that the handler makes.
//
// A close frame goes between two of the handler's writes, so each frame should be
// one write. A package that buffers makes several writes of a frame that is larger
// than its buffer, often 4 KB. If the loss falls between these, the client sees the
// connection break off within a frame, without the reason. After a write that the
// loss has cut short there is no close frame.
//
// A connection that the handler has hijacked is closed in the same way, even if the
// handler returned long ago. It is also closed if reading or writing it fails, and
// if the handler forgets it: when it is garbage-collected.
//
// While the change feed is not certified, a loss cannot be reported. Then each open
// stream is verified by reading the store, at least every MaxStaleness. One that
// gets no answer for Options.Patience ends with ErrUncertain: ReasonUncertain
// ("registry_unavailable"), in a WebSocket code 1013. With a verifier whose
// MaxStaleness is 0 every open stream costs a read about every 5 s. With a MaxAge
// its resource is read once in that time. If the Verifier is no Watcher, open
// streams are left alone.
//
// Put it after the middleware that authenticates (it trusts Options.Tenant) and
// after the one that answers CORS preflights, which carry no credentials.
//
// # Cut-over
//
// With ReportOnly every request passes, and those that would have been refused are
// reported. It is for the days between switching the middleware on and trusting the
// registry to be complete. It protects nothing. A request still waits for its
// check, at most the Timeout and the MissGrace of the verifier.
//
// # Telemetry
//
// The verifier's own; the counter registry.middleware.streams.ended (open streams
// that were ended), by reason (ownership_lost, registry_unavailable); and with
// ReportOnly the counter registry.middleware.report_only (requests that passed and
// would otherwise have been refused), by outcome (refused, invalid, unavailable),
// and a log line each, ten a second at most; the next line says how many were left
// out.
package verifierhttp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/northstar-engines/realtime-registry/internal/observe"
	"github.com/northstar-engines/realtime-registry/registry"
)

const scope = "github.com/northstar-engines/realtime-registry/registry/verifier/verifierhttp"

// A Verifier answers access checks. It is a *verifier.Verifier. If it is a Watcher
// too, open streams are ended.
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

	// Patience is how long an open stream goes on while it cannot be told
	// whether its tenant still owns the resource. Default 10 s.
	Patience time.Duration

	// ReturnOver spreads the return of clients whose streams end together: each
	// comes back after a second (three, if it was not let in), and a random part of
	// ReturnOver. Default 10 s.
	ReturnOver time.Duration

	// PlainStatus answers 503 with Retry-After, if the registry is unavailable, to
	// requests that accept text/event-stream too. A browser's EventSource gives up
	// on it.
	PlainStatus bool

	// ReportOnly lets every request pass and reports those that would have been
	// refused. For the cut-over only: it protects nothing.
	ReportOnly bool

	// Where telemetry goes. Default: nowhere; with ReportOnly, give at least
	// one of them.
	Logger        *slog.Logger
	MeterProvider metric.MeterProvider
}

// Validate returns every fault of the options, joined; nil if there is none.
func (o Options) Validate() error {
	var faults []error
	if o.Tenant == nil {
		faults = append(faults, errors.New("option Tenant is missing: the function that returns the tenant of a request"))
	}
	if o.Resource == nil {
		faults = append(faults, errors.New("option Resource is missing: the function that returns the resource of a request"))
	}
	if o.Patience < 0 {
		faults = append(faults, fmt.Errorf("option Patience is %v: must not be negative", o.Patience))
	}
	if o.ReturnOver < 0 {
		faults = append(faults, fmt.Errorf("option ReturnOver is %v: must not be negative", o.ReturnOver))
	}
	if o.ReportOnly && o.Logger == nil && o.MeterProvider == nil {
		faults = append(faults, errors.New("option ReportOnly reports nowhere: give a Logger or a MeterProvider"))
	}
	return errors.Join(faults...)
}

// New returns the middleware that lets only the owner through to a handler. The error
// lists every fault of the options.
func New(v Verifier, options Options) (func(http.Handler) http.Handler, error) {
	if err := options.Validate(); err != nil {
		return nil, fmt.Errorf("verifierhttp options: %w", err)
	}
	if !options.ReportOnly {
		g, err := newGuard(v, options)
		if err != nil {
			return nil, fmt.Errorf("verifierhttp telemetry: %w", err)
		}
		return func(next http.Handler) http.Handler {
			g := g
			g.next = next
			return g
		}, nil
	}
	report, err := newReport(options)
	if err != nil {
		return nil, fmt.Errorf("verifierhttp telemetry: %w", err)
	}
	return func(next http.Handler) http.Handler { return reportOnly(v, options, report, next) }, nil
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

// report logs and counts a request that passed and would have been refused.
type report struct {
	log   *observe.LimitedLog
	count *observe.Counter
}

func newReport(o Options) (*report, error) {
	p := observe.Providers{Logger: o.Logger, MeterProvider: o.MeterProvider}.OrNoop()
	i := p.Instruments(scope)
	p.Logger.Warn("report only: every request passes, nothing is protected")
	return &report{
		log: observe.NewLimitedLog(p.Logger, 10, 50),
		count: i.Counter("registry.middleware.report_only", "{request}",
			"Requests that passed and would have been refused, by outcome.", observe.Values("outcome", "refused", "invalid", "unavailable")),
	}, i.Err()
}

func (p *report) passed(ctx context.Context, tenantID string, resource registry.Resource, err error) {
	outcome := "unavailable"
	switch {
	case errors.Is(err, registry.ErrNotFound):
		outcome = "refused"
	case errors.Is(err, registry.ErrInvalid):
		outcome = "invalid"
	}
	p.count.Add(ctx, 1, outcome)
	p.log.Write(ctx, "", slog.LevelWarn, "report only: let pass what would have been refused", slog.String("tenant_id", tenantID),
		slog.String("resource", resource.String()), slog.String("outcome", outcome), slog.Any("error", err))
}
