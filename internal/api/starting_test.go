package api_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// starting starts a server that stands in for one over a registry in memory, and
// returns a function that hands over to that.
func starting(t *testing.T, o api.Options) (s *served, handOver func()) {
	t.Helper()
	store := memregistry.New()
	v, err := verifier.New(store, verifier.Options{})
	require.NoError(t, err)
	t.Cleanup(v.Close)
	s = &served{store: store, Registry: registry.New(store), verifier: v}
	o.Starting = &api.Starting{API: true}
	s.start(t, o)
	return s, func() {
		o.Starting, o.Verifier, o.Registry = nil, s, s
		next, err := api.New(o)
		require.NoError(t, err)
		s.server.HandOver(next)
	}
}

func TestAStandInTellsHealthAndHasTheRestWait(t *testing.T) {
	s, handOver := starting(t, api.Options{})
	s.own(t, "t_ann", "one")
	require.Equal(t, 200, s.ask(t, "GET /livez").StatusCode)
	for _, path := range []string{"/readyz", "/readyz?store", "/readyz/api"} {
		a := s.ask(t, "GET "+path)
		require.Equal(t, 503, a.StatusCode, path)
		require.Contains(t, a.body, "starting", path)
	}
	waits := keepOpen(t, s.addr)
	waits.send(t, "/v1/threads/one/access")
	handOver()
	require.Equal(t, 204, waits.answer(t).StatusCode)
	require.Equal(t, 204, waits.ask(t, "/v1/threads/one/access").StatusCode)
	require.Equal(t, 200, s.ask(t, "GET /readyz").StatusCode)
	s.server.Drain()
	require.Equal(t, 503, s.ask(t, "GET /readyz").StatusCode, "a drain reaches the one that answers")
}

// askStandIn asks a stand-in in a bubble of synctest, and sends what it answers.
func askStandIn(t *testing.T, server *api.Server, drain context.Context) <-chan *httptest.ResponseRecorder {
	t.Helper()
	answers := make(chan *httptest.ResponseRecorder, 1)
	request := httptest.NewRequestWithContext(api.WithDrain(t.Context(), drain), http.MethodGet, "/v1/threads/one/access", nil)
	go func() {
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, request)
		answers <- answer
	}()
	return answers
}

func requireTryAgain(t *testing.T, answer *httptest.ResponseRecorder) {
	t.Helper()
	require.Equal(t, http.StatusServiceUnavailable, answer.Code)
	require.NotEmpty(t, answer.Header().Get("Retry-After"))
}

func TestFewWaitForAStartAndNotForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, err := api.New(api.Options{Starting: &api.Starting{API: true}, MaxConcurrent: 1})
		require.NoError(t, err)
		began := time.Now()
		waits := askStandIn(t, server, t.Context())
		synctest.Wait()
		requireTryAgain(t, <-askStandIn(t, server, t.Context()))
		require.Zero(t, time.Since(began), "there is room for one, the other is refused at once")
		requireTryAgain(t, <-waits)
		require.Equal(t, 5*time.Second, time.Since(began))
	})
}

func TestARequestThatWaitsForAStartThatEndsIsToldToTryAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, err := api.New(api.Options{Starting: &api.Starting{API: true}})
		require.NoError(t, err)
		drain, end := context.WithCancel(t.Context())
		began := time.Now()
		waits := askStandIn(t, server, drain)
		synctest.Wait()
		end()
		requireTryAgain(t, <-waits)
		require.Zero(t, time.Since(began))
	})
}

func TestAStandInForTheAPINeedsATokenOffLoopbackToo(t *testing.T) {
	server, err := api.New(api.Options{Starting: &api.Starting{API: true}})
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	require.ErrorContains(t, server.Serve(context.Background(), listener), "bearer token")
}
