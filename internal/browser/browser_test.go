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
