package api

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/northstar-engines/realtime-registry/internal/problem"
	"github.com/northstar-engines/realtime-registry/registry"
)

// forwardAuthPath is the path at which proxies ask before they pass a stream on
// (design §9, docs/proxies.md).
const forwardAuthPath = "/v1/forward-auth"

// isForwardAuth reports whether the route is that of proxies.
func (r *route) isForwardAuth() bool { return r != nil && r.pattern == forwardAuthPath }

// proxyRequest is what a proxy asks about.
type proxyRequest struct {
	proxy  string // nginx, caddy, traefik or envoy
	action string // to throttle first; empty: none
	target string // path and query that its client asked for, as they were sent
}

// uriHeaders are the headers in which proxies say what their client asked for. Our
// configuration sets nginx's; the others set their own: Caddy's forward_auth and
// Traefik's forwardAuth set it over what the client may have sent. Envoy has none:
// its ext_authz puts path_prefix before the path, byte by byte, and asks by the
// client's own method (RawHttpClientImpl::check, ext_authz_http_impl.cc).
var uriHeaders = map[string]string{
	"nginx":   "X-Original-URI",
	"caddy":   "X-Forwarded-Uri",
	"traefik": "X-Forwarded-Uri",
	"envoy":   "",
}

// findForwardAuth returns the route of proxies if the request is one of theirs.
// Envoy's may have any method, and its client's path behind ours.
func (s *Server) findForwardAuth(r *http.Request) *route {
	rest, ours := strings.CutPrefix(r.RequestURI, forwardAuthPath)
	if !ours || rest != "" && rest[0] != '/' && rest[0] != '?' {
		return nil
	}
	i := slices.IndexFunc(s.table, func(r tableRoute) bool { return r.isForwardAuth() })
	if i < 0 {
		return nil
	}
	if !isGet(r) && proxyOf(r) != "envoy" {
		return nil
	}
	r.Pattern = s.table[i].method + " " + forwardAuthPath
	return &s.table[i].route
}

// parseProxyRequest reads the question. After a prefix without a query everything
// is the client's, so none of it is a parameter of ours.
func parseProxyRequest(r *http.Request) (q proxyRequest, err error) {
	rest := strings.TrimPrefix(r.RequestURI, forwardAuthPath)
	if strings.HasPrefix(rest, "/") {
		return proxyRequest{proxy: "envoy", target: rest}, nil
	}
	query, target := strings.TrimPrefix(rest, "?"), ""
	if slash := strings.IndexByte(query, '/'); slash >= 0 {
		query, target = query[:slash], query[slash:]
	}
	if q.proxy, q.action, err = parameters(query); err != nil {
		return q, err
	}
	switch {
	case q.proxy == "envoy" && target == "":
		return q, errors.New("the path that the client asked for is missing: it is what Envoy's path_prefix stands before")
	case q.proxy == "envoy":
		q.target = target
		return q, nil
	case target != "":
		return q, fmt.Errorf("a path after the query is Envoy's way to ask, not %s's", q.proxy)
	}
	header := uriHeaders[q.proxy]
	values := r.Header.Values(header)
	if len(values) != 1 {
		return q, fmt.Errorf("header %s occurs %d times, must occur once: the path that the client asked for", header, len(values))
	}
	q.target = values[0]
	return q, nil
}

func parameters(query string) (proxy, action string, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", "", fmt.Errorf("the query %.80q cannot be read: %w", query, err)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch {
		case name != "for" && name != "action":
			return "", "", fmt.Errorf("the query has the unknown parameter %.80q: want for and, if wanted, action", name)
		case len(values[name]) != 1:
			return "", "", fmt.Errorf("%s is given %d times: must be given once", name, len(values[name]))
		}
	}
	proxy = values.Get("for")
	if _, ok := uriHeaders[proxy]; !ok {
		return "", "", fmt.Errorf("for is %.80q: want nginx, caddy, traefik or envoy", proxy)
	}
	if values.Has("action") && values.Get("action") == "" {
		return "", "", errors.New("action is empty: want the name of an action, or leave it out")
	}
	return proxy, values.Get("action"), nil
}

// proxyOf returns the proxy that asks; empty if the question cannot be read.
func proxyOf(r *http.Request) string {
	q, err := parseProxyRequest(r)
	if err != nil && q.proxy == "" {
		return ""
	}
	return q.proxy
}

// forwardAuth lets a proxy pass a stream on, 200, or refuses: first by the throttle,
// so that ids are not enumerated at the registry's expense, then by the check.
func (s *Server) forwardAuth(w http.ResponseWriter, r *http.Request) {
	q, err := parseProxyRequest(r)
	if err != nil {
		problem.New(http.StatusBadRequest, err.Error()).Write(w)
		return
	}
	tenantID, err := tenant(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	resource, err := s.options.StreamPaths.Find(q.target)
	if err != nil {
		problem.New(http.StatusNotFound, "no stream: "+err.Error()).Write(w)
		return
	}
	w.Header().Set(askedHeader, tenantID+" "+resource.String())
	r, cancel := within(r)
	defer cancel()
	if q.action != "" && !s.admit(w, r, tenantID, q.action) {
		return
	}
	if err := s.options.Verifier.Verify(r.Context(), tenantID, resource); err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
}

func (s *Server) admit(w http.ResponseWriter, r *http.Request, tenantID, action string) bool {
	if s.options.Admit == nil {
		s.fail(w, r, fmt.Errorf("%w: no throttle is served here, and action is %q", registry.ErrInvalid, action))
		return false
	}
	return s.options.Admit(w, r, tenantID, action)
}

// nginxAnswer answers 403 in place of statuses that nginx's auth_request would turn
// into 500, which are all except 2xx, 401 and 403 (ngx_http_auth_request_module).
// X-Error-Status has the real status, for error_page.
type nginxAnswer struct{ http.ResponseWriter }

func (a nginxAnswer) WriteHeader(status int) {
	if status >= 300 {
		a.Header().Set("X-Error-Status", strconv.Itoa(status))
		status = http.StatusForbidden
	}
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (a nginxAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// forProxy wraps the ResponseWriter of a route's request, so that all refusals have
// the proxy's statuses, even those for a missing token or for lack of room.
func forProxy(route *route, w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	if route.isForwardAuth() && proxyOf(r) == "nginx" {
		return nginxAnswer{w}
	}
	return w
}
