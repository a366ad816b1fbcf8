package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/northstar-engines/realtime-registry/registry"
)

// access says which token a route demands, if one is set.
type access int

const (
	open       access = iota // none: health, and the description of the API
	apiToken                 // one of Options.Tokens
	claimToken               // Options.ClaimToken, else one of Options.Tokens
)

// route is one endpoint. A segment in braces matches any one segment, also an
// empty one, and is its path value.
type route struct {
	method  string
	pattern string
	access  access
	serve   http.HandlerFunc
	kind    registry.Kind // of what a check or claim is for; else empty

	// page: for people. A streaming page may go on without end.
	page, streams bool

	// list is the form of the body, which serveList gets in place of serve; nil:
	// none. A request that has left its slot by leave may go on without end.
	list      *listShape
	serveList func(x *exchange, r *http.Request, body []byte, leave func())
}

// isHealth reports whether the route is one that orchestrators ask.
func (r *route) isHealth() bool {
	return r != nil && (r.pattern == "/livez" || strings.HasPrefix(r.pattern, "/readyz"))
}

// routes lists every endpoint that is served with these options.
func (s *Server) routes() []route {
	all := []route{
		{method: http.MethodGet, pattern: "/livez", serve: health(s.options.Live)},
		{method: http.MethodGet, pattern: "/readyz", serve: s.ready(s.options.Worker)},
	}
	if s.options.ServesAPI() || s.options.Elsewhere {
		all = append(all, route{method: http.MethodGet, pattern: "/readyz/api", serve: s.ready(nil)})
	}
	if s.options.Worker != nil || s.options.Starting.worker() {
		all = append(all, route{method: http.MethodGet, pattern: "/readyz/worker", serve: s.ready(s.options.Worker)})
	}
	if s.options.Metrics != nil {
		all = append(all, route{method: http.MethodGet, pattern: "/metrics", serve: s.options.Metrics.ServeHTTP})
	}
	if s.options.Version != nil {
		all = append(all, route{method: http.MethodGet, pattern: "/version", serve: s.version})
	}
	if s.options.Verifier != nil {
		all = append(all,
			route{method: http.MethodGet, pattern: "/v1/openapi.json", serve: openAPI},
			route{method: http.MethodGet, pattern: "/v1/threads/{id}/access", access: apiToken, serve: s.verify(registry.Thread), kind: registry.Thread},
			route{method: http.MethodGet, pattern: "/v1/canvases/{id}/access", access: apiToken, serve: s.verify(registry.Canvas), kind: registry.Canvas},
			route{method: http.MethodPut, pattern: "/v1/threads/{id}", access: claimToken, serve: s.claim(registry.Thread), kind: registry.Thread},
			route{method: http.MethodPut, pattern: "/v1/canvases/{id}", access: claimToken, serve: s.claim(registry.Canvas), kind: registry.Canvas},
			route{method: http.MethodPost, pattern: "/v1/access", access: apiToken, list: accessShape, serveList: s.accessAll},
			route{method: http.MethodPost, pattern: "/v1/watch", access: apiToken, list: watchShape, serveList: s.watch},
			route{method: http.MethodGet, pattern: forwardAuthPath, access: apiToken, serve: s.forwardAuth},
		)
	}
	if s.options.Verifier != nil {
		all = append(all, s.pages()...)
	}
	if s.options.Quota != nil {
		all = append(all, route{method: http.MethodPost, pattern: "/v1/quota/{action}/take", access: apiToken, serve: s.quota})
	}
	return all
}

// find returns the route of a request, with the path values and the pattern set
// in it; else nil and the methods that the path has, none if it is unknown.
//
// http.ServeMux would clean the path and redirect to what is left: an id ".."
// would name another endpoint.
func (s *Server) find(r *http.Request) (found *route, allowed []string) {
	if route := s.findForwardAuth(r); route != nil {
		return route, nil
	}
	path := strings.Split(r.URL.EscapedPath(), "/")
	for i := range s.table {
		route := &s.table[i]
		if !match(route.segments, path, nil) {
			continue
		}
		if r.Method == route.method || r.Method == http.MethodHead && route.method == http.MethodGet {
			match(route.segments, path, r.SetPathValue)
			r.Pattern = route.method + " " + route.pattern
			return &route.route, nil
		}
		if allowed = append(allowed, route.method); route.method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	slices.Sort(allowed)
	return nil, allowed
}

// tableRoute is a route with its pattern split.
type tableRoute struct {
	route
	segments []string
}

// match compares segment by segment, and yields the values, decoded once.
func match(pattern, path []string, value func(name, value string)) bool {
	if len(pattern) != len(path) {
		return false
	}
	for i, want := range pattern {
		name, wild := strings.CutPrefix(want, "{")
		if !wild && want != path[i] {
			return false
		}
		if !wild || value == nil {
			continue
		}
		decoded, err := url.PathUnescape(path[i])
		if err != nil {
			decoded = path[i] // no pattern matches "%": refused later
		}
		value(strings.TrimSuffix(name, "}"), decoded)
	}
	return true
}
