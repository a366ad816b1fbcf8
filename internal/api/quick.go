package api

import (
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/northstar-engines/realtime-registry/registry"
)

// What nearly every answer has. These must not be modified.
var (
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}
)

// quick answers a check if memory says yes, and reports whether it did. Most
// requests are like this, and answering costs less than setting a request up. There
// is nothing to wait for, so it takes no slot and no deadline. Unusual requests,
// and every no, go the long way, which would give this one the same answer.
func (s *Server) quick(w http.ResponseWriter, r *http.Request) bool {
	route, resource := s.asCheck(r)
	if route == nil || r.ContentLength != 0 || len(r.TransferEncoding) > 0 || s.draining.Load() || isSpare(r.Context()) {
		return false
	}
	tenants := r.Header["X-Tenant-Id"]
	if len(tenants) != 1 {
		return false
	}
	g := s.guard.Load()
	known := g.demands(apiToken)
	if known && !g.carries(r, apiToken) || !known && (!s.hosts.nameLoopback(r.Host) || ofAnotherOrigin(r)) {
		return false
	}
	began := time.Now()
	if !s.options.Verifier.VerifyCached(tenants[0], resource) {
		return false
	}
	h := w.Header()
	h["Cache-Control"], h["X-Content-Type-Options"] = noStore, noSniff
	h[askedHeader] = []string{tenants[0] + " " + string(resource.Kind) + "/" + resource.ID}
	w.WriteHeader(http.StatusNoContent)
	s.telemetry.checked(w, r, route, known, began)
	return true
}

// asCheck returns the route and the question of a check whose id needs no decoding;
// nil for other requests.
func (s *Server) asCheck(r *http.Request) (*route, registry.Resource) {
	if r.Method != http.MethodGet || r.URL.RawPath != "" {
		return nil, registry.Resource{}
	}
	for i := range s.checks {
		c := &s.checks[i]
		rest, is := strings.CutPrefix(r.URL.Path, c.prefix)
		if !is {
			continue
		}
		id, is := strings.CutSuffix(rest, c.suffix)
		if is && id != "" && !strings.Contains(id, "/") {
			return c.route, registry.Resource{Kind: c.route.kind, ID: id}
		}
	}
	return nil, registry.Resource{}
}

// checkPath has the parts of a check's path around the id.
type checkPath struct {
	route          *route
	prefix, suffix string
}

// checkPaths finds the routes of checks.
func (s *Server) checkPaths() (checks []checkPath) {
	for i := range s.table {
		route := &s.table[i].route
		if prefix, suffix, wild := strings.Cut(route.pattern, "{id}"); wild && route.method == http.MethodGet && route.kind != "" {
			checks = append(checks, checkPath{route, prefix, suffix})
		}
	}
	return checks
}

// checked records a check that was answered from memory. There is a span if its
// caller is traced: a trace of its own would show nothing that is not measured.
func (t *telemetry) checked(w http.ResponseWriter, r *http.Request, route *route, known bool, began time.Time) {
	if !t.traces || !trace.SpanContextFromContext(t.propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header))).IsSampled() {
		t.duration.Record(r.Context(), time.Since(began).Seconds(), t.labels.of(http.MethodGet, route.pattern, http.StatusNoContent).record...)
		return
	}
	x := &exchange{telemetry: t, answer: &answer{ResponseWriter: w, status: http.StatusNoContent}, request: r, pattern: route.pattern, began: began}
	x.trace(r, known)
	x.record()
}
