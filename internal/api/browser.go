package api

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/northstar-engines/realtime-registry/internal/problem"
)

// refuseBrowsers refuses requests that a browser sends for a page of another
// origin, if no token keeps them out, and reports whether it did. Loopback is no
// boundary to a browser on the same machine: a page can resolve a name of its own
// to 127.0.0.1 (DNS rebinding), and is then of the same origin as the API, whose
// Host is that name; and any page can send simple requests to 127.0.0.1. Any page
// may link to an open page of the console. The route is nil if there is none.
func refuseBrowsers(w http.ResponseWriter, r *http.Request, route *route) bool {
	switch {
	case !namesLoopback(r.Host):
		problem.New(http.StatusMisdirectedRequest,
			"without a token the API is asked as localhost, 127.0.0.1 or [::1]; for another name set a token (REGISTRY_API_TOKEN)").Write(w)
	case ofAnotherOrigin(r) && !(route != nil && route.page && route.access == open):
		problem.New(http.StatusForbidden, "without a token the API answers no page of another origin").Write(w)
	default:
		return false
	}
	return true
}

// namesLoopback reports whether a Host header names this machine to itself. An
// empty one (HTTP/1.0) does not come from a browser.
func namesLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if host == "" || strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// hosts remembers the Host that last named loopback: a client sends one and the same
// with each of its requests.
type hosts struct{ last atomic.Pointer[string] }

// nameLoopback is namesLoopback.
func (h *hosts) nameLoopback(host string) bool {
	if last := h.last.Load(); last != nil && *last == host {
		return true
	}
	is := namesLoopback(host)
	if is {
		h.last.Store(&host)
	}
	return is
}

// ofAnotherOrigin reports whether a page of another origin sent the request, by
// Sec-Fetch-Site, which every browser sends and no page can set, and by Origin.
func ofAnotherOrigin(r *http.Request) bool {
	for _, site := range r.Header["Sec-Fetch-Site"] {
		if site != "same-origin" && site != "none" {
			return true
		}
	}
	for _, origin := range r.Header["Origin"] {
		if u, err := url.Parse(origin); err != nil || u.Host == "" || u.Host != r.Host {
			return true // "null" has no host
		}
	}
	return false
}
