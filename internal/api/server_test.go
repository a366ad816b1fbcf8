package api_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

func TestNoTokenIsNeededOnLoopbackAndOneIsDemandedOffIt(t *testing.T) {
	store := memregistry.New()
	v, err := verifier.New(store, verifier.Options{})
	require.NoError(t, err)
	t.Cleanup(v.Close)
	open, err := api.New(api.Options{Verifier: v, Registry: registry.New(store)})
	require.NoError(t, err)
	for _, address := range []string{"0.0.0.0:0", "[::]:0"} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue // no IPv6 here
		}
		require.ErrorContains(t, open.Serve(t.Context(), listener), "REGISTRY_API_TOKEN")
		_, err = net.Dial("tcp", listener.Addr().String())
		require.Error(t, err, "the listener is closed")
	}
	done, stop := context.WithCancel(t.Context())
	stop()
	guarded, err := api.New(api.Options{Verifier: v, Registry: registry.New(store), Tokens: []string{"secret"}})
	require.NoError(t, err)
	healthOnly, err := api.New(api.Options{})
	require.NoError(t, err)
	for _, server := range []*api.Server{guarded, healthOnly} {
		listener, err := net.Listen("tcp", "0.0.0.0:0")
		require.NoError(t, err)
		require.NoError(t, server.Serve(done, listener))
	}
}

func TestRequestsInProgressAreAnsweredBeforeServeReturns(t *testing.T) {
	s := &served{enter: make(chan string), leave: make(chan struct{})}
	store := memregistry.New()
	s.Registry = registry.New(store)
	var err error
	s.verifier, err = verifier.New(store, verifier.Options{})
	require.NoError(t, err)
	t.Cleanup(s.verifier.Close)
	require.NoError(t, s.RegisterThread(t.Context(), "t_ann", "th_1"))
	server, err := api.New(api.Options{Verifier: s, Registry: s})
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.addr = listener.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	ended, answered := make(chan error, 1), make(chan answer, 1)
	go func() { ended <- server.Serve(ctx, listener) }()
	go func() { answered <- s.ask(t, "GET /v1/threads/th_1/access\nX-Tenant-Id: t_ann") }()
	<-s.enter
	stop()
	require.Eventually(t, func() bool { // no new connections
		conn, err := net.Dial("tcp", s.addr)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, 10*time.Second, time.Millisecond)
	select {
	case err := <-ended:
		t.Fatalf("Serve returned before the request was answered: %v", err)
	default:
	}
	close(s.leave)
	require.Equal(t, http.StatusNoContent, (<-answered).StatusCode)
	require.NoError(t, <-ended)
}

func TestADrainThatTakesTooLongIsAnError(t *testing.T) {
	s := &served{enter: make(chan string), leave: make(chan struct{})}
	s.Registry = registry.New(memregistry.New())
	server, err := api.New(api.Options{Verifier: s, Registry: s, DrainTimeout: time.Millisecond})
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, listener) }()
	go func() {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err == nil {
			_, _ = io.WriteString(conn, "GET /v1/threads/panics/access HTTP/1.1\r\nHost: localhost\r\nX-Tenant-Id: t_ann\r\n\r\n")
		}
	}()
	<-s.enter
	stop()
	require.ErrorIs(t, <-ended, context.DeadlineExceeded)
	close(s.leave)
}

func TestAListenerThatFailsIsAnError(t *testing.T) {
	server, err := api.New(api.Options{})
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	require.ErrorIs(t, server.Serve(t.Context(), listener), net.ErrClosed)
}

func TestRequestsAboveTheBoundAreTurnedAwayAndHealthIsNot(t *testing.T) {
	s := serve(t, api.Options{MaxConcurrent: 2})
	s.enter, s.leave = make(chan string), make(chan struct{})
	answers := make(chan answer, 2)
	for range 2 {
		go func() { answers <- s.ask(t, "GET /v1/threads/th_1/access\nX-Tenant-Id: t_ann") }()
		<-s.enter
	}
	third := s.ask(t, "GET /v1/threads/th_1/access\nX-Tenant-Id: t_ann")
	require.Equal(t, 503, third.StatusCode)
	require.NotEmpty(t, third.Header.Get("Retry-After"))
	require.Equal(t, 200, s.ask(t, "GET /livez").StatusCode)
	close(s.leave)
	for range 2 {
		require.Equal(t, 404, (<-answers).StatusCode)
	}
	go func() { <-s.enter }()
	require.Equal(t, 404, s.ask(t, "GET /v1/threads/th_1/access\nX-Tenant-Id: t_ann").StatusCode, "and there is room again")
}

func TestHealthIsAnsweredWhenThereAreNoConnectionsLeft(t *testing.T) {
	const most = 20
	s := serve(t, api.Options{MaxConnections: most})
	var idle []net.Conn
	for range most {
		conn, err := net.Dial("tcp", s.addr)
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		idle = append(idle, conn)
	}
	health := func() int { return s.ask(t, "GET /livez").StatusCode }
	require.Equal(t, 200, health())
	require.Equal(t, 200, s.ask(t, "GET /readyz").StatusCode)
	turnedAway := s.ask(t, "GET /v1/threads/th_1/access"+asAnn)
	require.Equal(t, 503, turnedAway.StatusCode)
	require.NotEmpty(t, turnedAway.Header.Get("Retry-After"))
	require.True(t, turnedAway.Close)
	require.Equal(t, "t_ann thread/th_1", turnedAway.Header.Get("X-Registry-Asked"))
	for range 100 { // the reserve is given back
		require.Equal(t, 200, health())
	}
	require.NoError(t, idle[0].Close())
	require.NoError(t, idle[1].Close())
	require.Eventually(t, func() bool {
		return s.ask(t, "GET /v1/threads/th_1/access"+asAnn).StatusCode == 404
	}, 10*time.Second, time.Millisecond, "and there is room again")
}

// Proxies announce a body and do not pass it on. The server would wait for an hour,
// and ask gives up after a minute.
func TestNoGETWaitsForABodyWhateverItsAnswer(t *testing.T) {
	s := serve(t, api.Options{RequestTimeout: time.Hour, Tokens: []string{"token"}})
	for request, status := range map[string]int{
		"GET /livez": 200, "HEAD /readyz": 200, "GET /metrics": 200, "GET /v1/openapi.json": 200,
		"GET /nowhere": 404, "GET /v1/threads/th_1": 405, "GET /v1/threads/th_1/access": 401,
		"GET /v1/threads/th_1/access\nAuthorization: Bearer token" + asAnn: 404,
	} {
		a := s.ask(t, request+"\nContent-Length: 5")
		require.Equal(t, status, a.StatusCode, request)
		require.True(t, a.Close, request)
	}
}

func TestEveryFaultOfTheOptionsIsReportedAtOnce(t *testing.T) {
	_, err := api.New(api.Options{
		Verifier: &served{}, Tokens: []string{"from a file\n"}, ClaimTokens: []string{"ä"},
		RequestTimeout: -1, MaxConcurrent: -1, MaxConnections: -1, MaxHeaderBytes: -1, KeepAlive: -1, DrainTimeout: -1,
	})
	for _, field := range []string{"Registry", "Tokens", "ClaimTokens", "RequestTimeout", "MaxConcurrent", "MaxConnections", "MaxHeaderBytes", "KeepAlive", "DrainTimeout"} {
		require.ErrorContains(t, err, field)
	}
	require.NotContains(t, err.Error(), "from a file", "secrets stay out of errors")
}
