// Package quotahttp puts the throttle before HTTP handlers, and answers for it
// over HTTP.
//
//	connect, err := quotahttp.New(limiter, quotahttp.Options{
//		Action: func(r *http.Request) string {
//			if r.Header.Get("Last-Event-ID") != "" {
//				return "stream_resume"
//			}
//			return "stream_connect"
//		},
//	})
//	mux.Handle("GET /v1/threads/{id}/events", connect(verified(stream)))
//
// It belongs before the verifier's middleware (verifierhttp.New), so that a client
// that enumerates ids is refused before the registry is read. Connecting and
// resuming are actions of their own, so that the wave of reconnects after a
// deployment does not lock people out.
//
// # Answers
//
// Every decision carries the fields RateLimit-Policy and RateLimit
// (draft-ietf-httpapi-ratelimit-headers-10), named by the action:
//
//	RateLimit-Policy: "stream_connect";q=100;w=60
//	RateLimit: "stream_connect";r=57;t=12
//
// If a policy bounds all actions of the tenant together, they describe the window
// that refused, or the one with less left: the tenant's has the name "all-actions".
//
// A refusal is 429 with a problem body and with Retry-After: when the window
// ends, and at random up to a tenth of the window later, so that refused clients do
// not come back all at once. If too many processes share the window for its
// document to be written by all, a refusal may be early, and its Retry-After is two
// seconds at most. 400: the tenant, the action or n is invalid, the query has
// another parameter, or the list of actions is closed and does not have this one.
// 503: the store did not answer; it has a Retry-After too, and no RateLimit.
//
// A browser's EventSource gives up for good on each of these. So if a request
// accepts text/event-stream, the middleware answers 200 in place of 429 and 503, with a
// stream of one event, "registry.closed", whose data is "throttled" or
// "registry_unavailable", and with a field "retry" that is never below Retry-After
// (design §6). Options.PlainStatus is for clients that look at the status.
//
// A shadow policy refuses nothing, and answers as if there were room.
package quotahttp

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/problem"
	"github.com/northstar-engines/realtime-registry/internal/streamend"
	"github.com/northstar-engines/realtime-registry/quota"
)

// TenantHeader is the header with the caller's tenant (design §9).
const TenantHeader = "X-Tenant-Id"

// Options of New.
type Options struct {
	// Tenant takes the tenant out of a request that the transport has
	// authenticated. Default: the header X-Tenant-Id, which must be there once,
	// and which only a trusted caller can have set.
	Tenant func(*http.Request) string

	// Action says what the request does, by a name that matches
	// quota.ActionPattern. Required.
	Action func(*http.Request) string

	// PlainStatus answers 429 and 503 to requests that accept text/event-stream
	// too. A browser's EventSource gives up on them.
	PlainStatus bool
}

// Validate returns every fault of the options, joined; nil if there is none.
func (o Options) Validate() error {
	if o.Action == nil {
		return errors.New("option Action is missing: the function that returns the action of a request")
	}
	return nil
}

// New returns the middleware that puts the throttle before a handler; each request
// is one unit. The error lists every fault of the options.
func New(l *quota.Limiter, options Options) (func(http.Handler) http.Handler, error) {
	if err := options.Validate(); err != nil {
		return nil, fmt.Errorf("quotahttp options: %w", err)
	}
	if options.Tenant == nil {
		options.Tenant = tenantOf
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			refuse := problemOf
			if !options.PlainStatus && streamend.Wanted(r) {
				refuse = streamOf
			}
			if pass(l, w, r, options.Tenant(r), options.Action(r), 1, refuse) {
				next.ServeHTTP(w, r)
			}
		})
	}, nil
}

// Take answers `POST /v1/quota/{action}/take` (design §9): 204 or 429. The
// pattern of the mux must have the wildcard {action}.
func Take(l *quota.Limiter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := units(r)
		if err != nil {
			problem.New(http.StatusBadRequest, err.Error()).Write(w)
			return
		}
		if pass(l, w, r, tenantOf(r), r.PathValue("action"), n, problemOf) {
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusNoContent)
		}
	})
}

// tenantOf returns the tenant's header; a missing or repeated one is no tenant.
func tenantOf(r *http.Request) string {
	if values := r.Header.Values(TenantHeader); len(values) == 1 {
		return values[0]
	}
	return ""
}

// units returns the n of the query. Other parameters are refused: they were meant
// to say something.
func units(r *http.Request) (int, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return 0, fmt.Errorf("the query %.80q cannot be read: %w", r.URL.RawQuery, err)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if name != "n" {
			return 0, fmt.Errorf("the query has the unknown parameter %.80q: the only one is n, the number of units", name)
		}
	}
	values, given := query["n"]
	if !given {
		return 1, nil
	}
	if len(values) > 1 {
		return 0, fmt.Errorf("n is given %d times: must be given once", len(values))
	}
	n, err := strconv.Atoi(values[0])
	if err != nil || !decimal.MatchString(values[0]) {
		return 0, fmt.Errorf("n is %.80q: must be a whole number from 1 to the limit, in decimal digits", values[0])
	}
	return n, nil
}

var decimal = regexp.MustCompile(`^[1-9][0-9]*$`)

// Admit decides about one unit for a request of the tenant, and sets the fields. It
// answers a request that does not pass, with its status, and returns false.
func Admit(l *quota.Limiter, w http.ResponseWriter, r *http.Request, tenant, action string) bool {
	return pass(l, w, r, tenant, action, 1, problemOf)
}

// pass decides, sets the fields, and refuses a request that does not pass.
func pass(l *quota.Limiter, w http.ResponseWriter, r *http.Request, tenant, action string, n int, refuse refuser) bool {
	d, err := l.AllowN(r.Context(), tenant, action, n)
	switch {
	case errors.Is(err, quota.ErrInvalid):
		problem.New(http.StatusBadRequest, err.Error()).Write(w)
		return false
	case err != nil:
		refuse(w, problem.New(http.StatusServiceUnavailable, "the throttle did not answer in time: try again"), 0)
		return false
	}
	if d.Total {
		action = quota.TotalAction
	}
	setFields(w.Header(), action, d)
	if !d.Allowed {
		refuse(w, problem.New(http.StatusTooManyRequests, refusal(d, n)), retryAfter(d))
	}
	return d.Allowed
}

// refuser answers a request that was not admitted: 429, or 503, whose duration is
// not known.
type refuser func(w http.ResponseWriter, p problem.Problem, retryAfter time.Duration)

func problemOf(w http.ResponseWriter, p problem.Problem, retryAfter time.Duration) {
	if retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(ceilSeconds(retryAfter)))
	}
	p.Write(w)
}

func streamOf(w http.ResponseWriter, _ problem.Problem, retryAfter time.Duration) {
	if retryAfter > 0 {
		streamend.Refuse(w, streamend.Throttled, retryAfter)
		return
	}
	streamend.Refuse(w, streamend.Unavailable, streamend.RetryUnavailable(streamend.DefaultReturnOver))
}

// refusal returns why: if units are left, they are too few.
func refusal(d quota.Decision, n int) string {
	what := "this action"
	if d.Total {
		what = "all actions together"
	}
	if d.Contended {
		return "too many processes take of the tenant's quota for " + what + " at once: try again soon"
	}
	if d.Remaining > 0 {
		return fmt.Sprintf("fewer than the %d units asked for are left of the tenant's quota for %s", n, what)
	}
	return "the tenant has used up its quota for " + what
}

// setFields sets the fields that describe the window, if it is known.
func setFields(h http.Header, action string, d quota.Decision) {
	if d.FailedOpen {
		return
	}
	h.Set("RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=%d", action, d.Limit, int(d.Length.Seconds())))
	h.Set("RateLimit", fmt.Sprintf("%q;r=%d;t=%d", action, d.Remaining, ceilSeconds(d.ResetAfter)))
}

// retryAfter adds up to a tenth of the window, and up to a second at least. An
// early refusal is of a moment, and drawn at random as it is.
func retryAfter(d quota.Decision) time.Duration {
	if d.Contended {
		return d.RetryAfter
	}
	jitter := max(time.Second, d.Length/10)
	return d.RetryAfter + rand.N(jitter)
}

func ceilSeconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
