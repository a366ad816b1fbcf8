package verifierhttp_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/storetest"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
	"github.com/northstar-engines/realtime-registry/registry/verifier/verifierhttp"
)

const patience = 300 * time.Millisecond

// server streams th_1, which t_ann owns, with the handler.
func server(t *testing.T, handler http.HandlerFunc) (*storetest.Fragile, *httptest.Server) {
	t.Helper()
	store := &storetest.Fragile{Store: memregistry.New()}
	require.NoError(t, registry.New(store).RegisterThread(t.Context(), "t_ann", "th_1"))
	v, err := verifier.New(store, verifier.Options{MaxStaleness: 200 * time.Millisecond, MaxAge: verifier.Unbounded})
	require.NoError(t, err)
	t.Cleanup(v.Close)
	protect, err := verifierhttp.New(v, verifierhttp.Options{
		Tenant:   func(r *http.Request) string { return r.Header.Get("Test-Tenant") },
		Resource: func(*http.Request) registry.Resource { return registry.Resource{Kind: registry.Thread, ID: "th_1"} },
		Patience: patience,
	})
	require.NoError(t, err)
	s := httptest.NewServer(protect(handler))
	t.Cleanup(s.Close)
	require.Eventually(t, func() bool { // the feed is certified
		return !isClosed(v.Watch(t.Context(), registry.Resource{Kind: registry.Thread, ID: "th_1"}))
	}, 10*time.Second, time.Millisecond)
	return store, s
}

// protected is a handler of which t_ann asks for th_1.
func protected(t *testing.T, v verifierhttp.Verifier, handler http.HandlerFunc) http.Handler {
	t.Helper()
	protect, err := verifierhttp.New(v, verifierhttp.Options{
		Tenant:   func(*http.Request) string { return "t_ann" },
		Resource: func(*http.Request) registry.Resource { return registry.Resource{Kind: registry.Thread, ID: "th_1"} },
	})
	require.NoError(t, err)
	return protect(handler)
}

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func moveAway(t *testing.T, s *storetest.Fragile) {
	t.Helper()
	storetest.MoveTenant(t, s, "t_ann", "t_bob")
}

func request(t *testing.T, s *httptest.Server) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
	require.NoError(t, err)
	r.Header.Set("Test-Tenant", "t_ann")
	r.Header.Set("Last-Event-ID", "7")
	answer, err := s.Client().Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

// events streams until its context ends, and tells why that was.
func events(cause chan<- error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: hello\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		cause <- context.Cause(r.Context())
		fmt.Fprint(w, "data: secret\n\n")
	}
}

// over2 is server over HTTP/2.
func over2(t *testing.T, handler http.HandlerFunc) (*storetest.Fragile, *httptest.Server) {
	t.Helper()
	store, s := server(t, handler)
	second := httptest.NewUnstartedServer(s.Config.Handler)
	second.EnableHTTP2 = true
	second.StartTLS()
	t.Cleanup(second.Close)
	return store, second
}
