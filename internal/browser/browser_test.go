package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/browser"
)

const soon = time.Minute

// The page tells a stream that ends from one that is refused, and who asks.
func TestAPageSeesStreamsOpenEndComeBackAndGiveUp(t *testing.T) {
	var connects atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, r *http.Request) {
		if connects.Add(1) > 1 {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "retry: 10\ndata: hello %s\n\nevent: registry.closed\ndata: why\n\n", r.Header["Test-Tenant"])
	})
	transport := httptest.NewServer(mux)
	defer transport.Close()
	site := browser.Serve(t, transport.URL, http.Header{"test-tenant": {"t_acme"}})
	page := browser.Open(t, site, "/stream", "/nowhere")
	for _, what := range []string{"open", "message hello [t_acme]", "registry.closed why", "error, comes back", "error, gave up"} {
		page.Await("/stream", what, soon)
	}
	page.Await("/nowhere", "error, gave up", soon)
	require.EqualValues(t, 2, connects.Load())
	require.Contains(t, page.String(), " s  /nowhere  error, gave up\n")
}

// What the guard of package middleware relies on if a handler has left an event
// unfinished: the browser drops it, with its id, and takes the time to come back.
func TestABrowserDropsAnUnfinishedEventAndTakesTheTimeBehindIt(t *testing.T) {
	resumed := make(chan string, 1)
	var connects atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, r *http.Request) {
		if connects.Add(1) > 1 {
			resumed <- r.Header.Get("Last-Event-ID")
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "retry: 86400000\nid: 1\ndata: whole\n\nid: 2\ndata: half\nretry: 10\n")
	})
	transport := httptest.NewServer(mux)
	defer transport.Close()
	page := browser.Open(t, browser.Serve(t, transport.URL, nil), "/stream")
	page.Await("/stream", "message whole", soon)
	page.Await("/stream", "error, gave up", soon) // tomorrow, had it not taken the second time
	require.Equal(t, "1", <-resumed)
	require.NotContains(t, page.String(), "half")
}
