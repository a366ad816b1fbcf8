package api_test

import (
	"bufio"
	"context"
	"errors"
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

func TestHealthSaysWhy(t *testing.T) {
	sick := errors.New("nothing settled for 30s")
	s := &served{}
	s.start(t, api.Options{
		Live:   func(context.Context) error { return nil },
		Worker: func(context.Context) error { return sick },
	})
	require.Equal(t, "ok\n", s.ask(t, "GET /livez").body)
	ready := s.ask(t, "GET /readyz")
	require.Equal(t, 503, ready.StatusCode)
	require.Contains(t, ready.body, sick.Error())
	absent := s.ask(t, "GET /v1/threads/th_1/access\nX-Tenant-Id: t_ann")
	require.Equal(t, 404, absent.StatusCode, "no API where none was given")
	require.NotContains(t, absent.body, "openapi.json", "nor its description")
}

func TestEachQuestionOfReadinessHasItsOwnAnswer(t *testing.T) {
	errWorker, errStore := errors.New("subscription s: no contact"), errors.New("store: does not answer")
	no := func(err error) func(context.Context) error { return func(context.Context) error { return err } }
	for _, c := range []struct {
		worker, store              error
		all, api, ofWorker, stored int
	}{
		{nil, nil, 200, 200, 200, 200},
		{nil, errStore, 200, 200, 200, 503},
		{errWorker, nil, 503, 200, 503, 200},
		{errWorker, errStore, 503, 200, 503, 503},
	} {
		s := serve(t, api.Options{Worker: no(c.worker), Store: no(c.store)})
		status := func(path string) int { return s.ask(t, "GET "+path).StatusCode }
		require.Equal(t, c.all, status("/readyz"))
		require.Equal(t, c.api, status("/readyz/api"))
		require.Equal(t, c.ofWorker, status("/readyz/worker"))
		require.Equal(t, c.stored, status("/readyz/api?store"))
		require.Equal(t, max(c.all, c.stored), status("/readyz?store="))
		require.Equal(t, max(c.ofWorker, c.stored), status("/readyz/worker?store"))
	}

	alone := serve(t, api.Options{Store: no(errStore)})
	require.Equal(t, 200, alone.ask(t, "GET /readyz").StatusCode)
	require.Contains(t, alone.ask(t, "GET /readyz?store").body, errStore.Error())
	require.Equal(t, 404, alone.ask(t, "GET /readyz/worker").StatusCode)
	for _, misread := range []string{"?stroe", "?store=0", "?store&store", "?Store", "?store;x", "?verbose", "?%zz"} {
		require.Equal(t, 400, alone.ask(t, "GET /readyz"+misread).StatusCode, misread)
	}
}

// kept is a connection that is kept open between requests.
type kept struct {
	net.Conn
	answers *bufio.Reader
}

func keepOpen(t *testing.T, address string) kept {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	return kept{conn, bufio.NewReader(conn)}
}

func (k kept) send(t *testing.T, path string) {
	t.Helper()
	_, err := io.WriteString(k, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nX-Tenant-Id: t_ann\r\n\r\n")
	require.NoError(t, err)
}

func (k kept) answer(t *testing.T) *http.Response {
	t.Helper()
	response, err := http.ReadResponse(k.answers, nil)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	return response
}

func (k kept) ask(t *testing.T, path string) *http.Response {
	t.Helper()
	k.send(t, path)
	return k.answer(t)
}

func TestADrainingServerSaysSoAndAnswersAndLetsConnectionsGo(t *testing.T) {
	s := serve(t, api.Options{})
	require.NoError(t, s.RegisterThread(t.Context(), "t_ann", "th_1"))
	idle, silent := keepOpen(t, s.addr), keepOpen(t, s.addr)
	require.False(t, idle.ask(t, "/v1/threads/th_1/access").Close)
	require.False(t, silent.ask(t, "/readyz").Close)
	s.enter, s.leave = make(chan string), make(chan struct{})
	busy := keepOpen(t, s.addr)
	busy.send(t, "/v1/threads/th_1/access")
	<-s.enter

	s.server.Drain()
	s.server.Drain()
	for _, path := range []string{"/readyz", "/readyz/api"} {
		a := s.ask(t, "GET "+path)
		require.Equal(t, 503, a.StatusCode)
		require.Contains(t, a.body, "shutting down")
	}
	require.Equal(t, 200, s.ask(t, "GET /livez").StatusCode)
	go func() { <-s.enter }()
	close(s.leave)
	for what, a := range map[string]*http.Response{
		"in progress":        busy.answer(t),
		"on one that idled":  idle.ask(t, "/v1/threads/th_1/access"),
		"health and scrapes": silent.ask(t, "/metrics"),
	} {
		require.Less(t, a.StatusCode, 300, what)
		require.True(t, a.Close, "%s: the connection ends with its answer", what)
	}
}

// net/http drops a request that it has read just after Shutdown was called.
func TestARequestOnAConnectionThatWasTakenIsAnsweredThoughTheDrainHasBegun(t *testing.T) {
	store := memregistry.New()
	v, err := verifier.New(store, verifier.Options{})
	require.NoError(t, err)
	t.Cleanup(v.Close)
	server, err := api.New(api.Options{Verifier: v, Registry: registry.New(store)})
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, listener) }()
	taken := keepOpen(t, listener.Addr().String())
	require.Equal(t, 200, keepOpen(t, listener.Addr().String()).ask(t, "/livez").StatusCode, "they are taken in order")
	stop()
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, 10*time.Second, time.Millisecond, "no new ones")
	require.Equal(t, 404, taken.ask(t, "/v1/threads/th_1/access").StatusCode)
	require.NoError(t, <-ended)
}

// What stands before the server must not find its connection closed just as it
// sends on it, so it has to be the first to close one.
func TestConnectionsAreKeptForLongerThanGooglesLoadBalancersKeepThem(t *testing.T) {
	server, err := api.New(api.Options{Verifier: &served{}, Registry: registry.New(memregistry.New())})
	require.NoError(t, err)
	require.Greater(t, server.KeepAlive(), 600*time.Second)

	s := serve(t, api.Options{KeepAlive: 50 * time.Millisecond})
	c := keepOpen(t, s.addr)
	require.Equal(t, 200, c.ask(t, "/livez").StatusCode)
	_, err = c.answers.ReadByte()
	require.ErrorIs(t, err, io.EOF, "the setting holds")
}
