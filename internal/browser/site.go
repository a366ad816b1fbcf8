package browser

import (
	_ "embed"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
)

//go:embed page.html
var page []byte

const pagePath = "/browser-test-page"

// Serve serves the page of Open, and behind it the transport at upstream, with
// these headers in place of what the browser sends under their names. It returns
// the site's URL, and ends with the test.
func Serve(t testing.TB, upstream string, headers http.Header) (site string) {
	t.Helper()
	target, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	proxy := &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1, // each event at once
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			for name, values := range headers {
				r.Out.Header[http.CanonicalHeaderKey(name)] = values
			}
		},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pagePath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	})
	mux.Handle("/", proxy)
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections() // streams that are open
		server.Close()
		transport.CloseIdleConnections()
	})
	return server.URL
}
