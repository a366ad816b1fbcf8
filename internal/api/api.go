// Package api answers access checks, claims and throttle requests over HTTP
// (design §9), and the health endpoints of every command that runs on.
//
// # Who may ask
//
// The API trusts its caller's X-Tenant-Id. So it listens on loopback, or demands a
// bearer token: Serve refuses any other address without Options.Tokens. A token
// that is set is demanded on loopback too. Options.ClaimTokens, if set, are the
// only ones that claims accept, and claims are all that they are good for. There
// may be two of each, while one replaces the other.
//
// Without a token a browser on the same machine has to be kept out: a request whose
// Host is not a name of loopback is 421 (DNS rebinding), and a request by a page of
// another origin is 403.
//
// /livez, /readyz, /metrics, /version and /v1/openapi.json are open to all: they
// name no tenant and no resource.
//
// # Answers
//
// openapi.json, served at /v1/openapi.json, is the reference; a test holds it
// against this package. Errors are application/problem+json, and package problem
// has the one table from error to status. A refused check answers the same bytes
// whether the resource has no owner or another one. A path that is not an endpoint
// is a 404 too, with another detail, since a mistyped base URL should not look like
// a refusal for ever. HEAD is answered as GET is. No answer may be stored by
// caches.
//
// Paths are matched as they were sent, segment by segment, and each id is
// percent-decoded once: nothing is cleaned, nothing redirects. An id that then does
// not match its pattern is 400: "%2F", "..", a second encoding, an empty id.
//
// GET /v1/forward-auth is for proxies that ask before they pass a stream on: 200,
// or a refusal in the statuses that this proxy lets through (docs/proxies.md). A
// 403 for nginx is recorded by the status that it stands for.
//
// # Health
//
// /livez is 200 as soon as there is a listener, before the store has answered. /readyz
// says whether to send requests here: 200 once there is no Options.Starting, until
// Drain, if Options.Worker has nothing against it. /readyz/api and /readyz/worker are its
// parts, for a process that is both: checks are answered even if no events arrive.
// A store that does not answer takes no server out of service: otherwise all of
// them would go at once, even those that still answer from memory. A caller that
// wants to know asks /readyz?store.
//
// # Limits
//
// Two endpoints take a body, of at most 1 MiB (list.go). No other request needs
// one: more than 4 KiB is 413, less is ignored, and a GET is answered before its
// body has arrived, on a connection that is then closed. A body without a length
// (Transfer-Encoding, even beside a Content-Length) is 411. A connection above
// Options.MaxConnections takes the place of the one that has been without a request
// for longest. If there is none, it waits; a few are accepted even then, and may ask
// for /livez and /readyz only, once each. Headers of more than Options.MaxHeaderBytes are 431.
// Requests above Options.MaxConcurrent are 503 with Retry-After at once; health
// endpoints do not count. A request that cannot be parsed at all is answered by
// net/http itself, in plain text: 400 or 431.
//
// # Watches
//
// The answer to POST /v1/watch goes on for up to an hour (watch.go). It is a
// request in progress until its first event, "state", has been sent; after that it
// takes none of Options.MaxConcurrent, and no timeout applies but that of each
// write. Three quarters of Options.MaxConnections may be open, above that 503. A
// client that does not take an event within MaxStaleness (a second at least, ten at
// most) is cut off. When Serve begins to drain, "closing" asks all of them to come
// back.
//
// # Console
//
// Options.Console are the pages for people (package console). They are no part of
// what openapi.json describes. What is Open is answered to a link from another site,
// too: it has nothing of ours in it. A page that streams takes none of
// Options.MaxConcurrent, as a watch does.
//
// # Telemetry
//
// Of watches: registry.watch.open, registry.watch.resources (those in them),
// registry.watch.events by event, registry.watch.ended by reason. Of requests: the
// histogram http.server.request.duration (seconds) by http.request.method,
// http.route and http.response.status_code, and a server span for each request to
// /v1 that is let in (for a check that is answered from memory, only if its caller
// samples the trace): in the trace of a caller with a token, else in a trace of its
// own that is linked to the caller's, so that a caller without a token does not
// decide what is sampled. Answers of 5xx are logged, and so are those of 401, which
// registry.api.tokens.refused counts by reason, without the token: ten lines a second
// of each at most. Claims are logged by the store that they go to.
package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/northstar-engines/realtime-registry/internal/observe"
	"github.com/northstar-engines/realtime-registry/internal/streampath"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// A Verifier answers access checks. It is a *verifier.Verifier.
type Verifier interface {
	Verify(ctx context.Context, tenantID string, resource registry.Resource) error
	VerifyCached(tenantID string, resource registry.Resource) bool
	Owned(ctx context.Context, tenantID string, resources []registry.Resource) ([]bool, error)
	WatchAll(ctx context.Context, ownerships []verifier.Ownership) (watcher *verifier.Watcher, refused []int, err error)
	MaxStaleness() time.Duration
}

// A Claimer registers resources. It is a *registry.Registry.
type Claimer interface {
	Claim(ctx context.Context, tenantID string, resource registry.Resource, options ...registry.ClaimOption) (created bool, err error)
}

// Options of a Server.
type Options struct {
	// Verifier and Registry answer /v1. Both or none: without them only the
	// health endpoints are served, as a worker without an API does, and no
	// token is needed on any address.
	Verifier Verifier
	Registry Claimer

	// Quota answers POST /v1/quota/{action}/take. It finds the action in
	// PathValue("action"), decoded and not checked; X-Tenant-Id is there once
	// and valid. Nil: 404.
	Quota http.Handler

	// Admit throttles the requests that a proxy asks about, like quotahttp.Admit:
	// it answers a request that does not pass, and reports false. Nil: a question
	// that names an action is 400.
	Admit func(w http.ResponseWriter, r *http.Request, tenantID, action string) bool

	// StreamPaths are the paths that proxies pass on. Default: those of
	// streampath.Defaults.
	StreamPaths streampath.Patterns

	// Tokens are the bearer tokens of /v1, at most two; none: none is demanded.
	// ClaimTokens are those of claims; none: the same. See Server.SetTokens.
	Tokens, ClaimTokens []string

	// Elsewhere: another server of the same process answers /v1. This one reports
	// it at /readyz/api, too.
	Elsewhere bool

	// Starting, if it is not nil: what this server needs is still being opened. It
	// stands in for the one that will have it (HandOver). /readyz is 503, and all else
	// but /livez, /metrics and /version waits.
	Starting *Starting

	// Live decides /livez: an error is a 503 with its text. Nil: always alive.
	Live func(context.Context) error

	// Worker decides /readyz/worker, and /readyz with it, if a worker is in the
	// same process; nil: there is none, and no such path. Store answers
	// /readyz?store; nil: always up.
	Worker, Store func(context.Context) error

	// Console are the paths of the page for people; none: 404. They are served where
	// /v1 is.
	Console []Page

	Metrics http.Handler // answers /metrics; nil: 404
	// MetricsAt is the address that has /metrics instead, for the detail of that
	// 404.
	MetricsAt string
	Version   any // what /version answers, as JSON; nil: 404

	// RequestTimeout bounds one request, from its last header to the answer. It
	// should be longer than the verifier's MissGrace. Default 15 s.
	RequestTimeout time.Duration

	// MaxConcurrent is the number of /v1 requests in progress at once. Default
	// 2,000.
	MaxConcurrent int

	// MaxConnections is the number of connections that are open at once. Default
	// 4,096.
	MaxConnections int

	// MaxHeaderBytes bounds the headers of a request. Default 16 KiB.
	MaxHeaderBytes int

	// KeepAlive is how long a connection without a request is kept open. It must be
	// longer than a load balancer before the server keeps its end. Otherwise the
	// balancer sends a request on a connection that is just being closed. Default
	// 620 s: Google's load balancers keep theirs for 600 s, and ask for more
	// (https://cloud.google.com/load-balancing/docs/https#timeout-keepalive-backends).
	KeepAlive time.Duration

	// DrainTimeout bounds what Serve waits for requests in progress once its
	// context has ended. Default 20 s.
	DrainTimeout time.Duration

	// Where telemetry goes. Default: nowhere, and no trace is continued.
	Logger         *slog.Logger
	MeterProvider  metric.MeterProvider
	TracerProvider trace.TracerProvider
	Propagator     propagation.TextMapPropagator
}

// A Page is one path of the console, which takes GET.
type Page struct {
	Pattern string
	Open    bool // it is constant, and needs no token
	Streams bool // it may go on until its context ends: when Serve drains, or its token is replaced
	Serve   http.HandlerFunc
}

// token68 is what a bearer token may consist of (RFC 9110, section 11.2). A
// token with other bytes, such as the newline that ends a file, could never be
// sent.
var token68 = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// Validate returns every fault of the options, joined; nil if there is none.
func (o Options) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if (o.Verifier == nil) != (o.Registry == nil) {
		fault("Verifier and Registry: give both or none")
	}
	if _, err := newGuard(o.Tokens, o.ClaimTokens); err != nil {
		faults = append(faults, err)
	}
	if o.RequestTimeout < 0 {
		fault("RequestTimeout is %v: must not be negative", o.RequestTimeout)
	}
	if o.MaxConcurrent < 0 {
		fault("MaxConcurrent is %d: must not be negative", o.MaxConcurrent)
	}
	if o.MaxConnections < 0 {
		fault("MaxConnections is %d: must not be negative", o.MaxConnections)
	}
	if o.MaxHeaderBytes < 0 {
		fault("MaxHeaderBytes is %d: must not be negative", o.MaxHeaderBytes)
	}
	if o.KeepAlive < 0 {
		fault("KeepAlive is %v: must not be negative", o.KeepAlive)
	}
	if o.DrainTimeout < 0 {
		fault("DrainTimeout is %v: must not be negative", o.DrainTimeout)
	}
	return errors.Join(faults...)
}

// maxWatches returns how many watches may be open, so that connections are left for
// checks.
func (o Options) maxWatches() int { return max(1, o.MaxConnections*3/4) }

func (o Options) withDefaults() Options {
	if o.RequestTimeout == 0 {
		o.RequestTimeout = 15 * time.Second
	}
	if o.MaxConcurrent == 0 {
		o.MaxConcurrent = 2000
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 4096
	}
	if o.MaxHeaderBytes == 0 {
		o.MaxHeaderBytes = 16 << 10
	}
	if o.KeepAlive == 0 {
		o.KeepAlive = 620 * time.Second
	}
	if o.DrainTimeout == 0 {
		o.DrainTimeout = 20 * time.Second
	}
	if o.StreamPaths == nil {
		o.StreamPaths, _ = streampath.Parse(streampath.Defaults) // no error: a test parses them
	}
	p := observe.Providers{Logger: o.Logger, MeterProvider: o.MeterProvider, TracerProvider: o.TracerProvider}.OrNoop()
	o.Logger, o.MeterProvider, o.TracerProvider = p.Logger, p.MeterProvider, p.TracerProvider
	if o.Propagator == nil {
		o.Propagator = propagation.NewCompositeTextMapPropagator()
	}
	return o
}
