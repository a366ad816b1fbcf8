package api_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/api"
)

// requireClosed holds that the server closes the connection, without another answer.
func (k kept) requireClosed(t *testing.T, which ...any) {
	t.Helper()
	_, err := k.answers.ReadByte()
	require.Error(t, err, which...)
	timeout, ok := err.(net.Error)
	require.False(t, ok && timeout.Timeout(), which...)
}

func TestANewConnectionTakesThePlaceOfTheOneThatWasIdleLongest(t *testing.T) {
	const most = 5
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	idle := make(chan struct{}, most)
	server := api.Over(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Spare", fmt.Sprint(api.IsSpare(r)))
	}), func(_ net.Conn, state http.ConnState) {
		if state == http.StateIdle {
			idle <- struct{}{}
		}
	})
	go func() { _ = server.Serve(api.Bounded(listener, most)) }()
	t.Cleanup(func() { _ = server.Close() })

	ask := func(k kept) {
		require.Equal(t, "false", k.ask(t, "/").Header.Get("X-Spare"))
		<-idle
	}
	var all []kept
	for range most {
		all = append(all, keepOpen(t, listener.Addr().String()))
		ask(all[len(all)-1])
	}
	ask(all[0]) // so the second is the one that was idle longest
	for _, i := range []int{1, 2, 3} {
		ask(keepOpen(t, listener.Addr().String()))
		all[i].requireClosed(t, i)
	}
	ask(all[0])
	ask(all[4])
}

// letIn has a newcomer ask until it is let in, which it is as soon as the server knows
// that a connection is idle.
func (s *served) letIn(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		return s.ask(t, "GET /v1/threads/one/access"+asAnn).StatusCode == 204
	}, time.Minute, time.Millisecond)
}

// What is in progress stays, though it has come before what is idle.
func TestNothingInProgressIsClosedForANewConnection(t *testing.T) {
	const check = "GET /v1/threads/one/access HTTP/1.1\r\nHost: localhost\r\nX-Tenant-Id: t_ann\r\n\r\n"
	write := func(t *testing.T, k kept, text string) {
		_, err := io.WriteString(k, text)
		require.NoError(t, err)
	}
	for name, begin := range map[string]func(t *testing.T, s *served) (finish func()){
		"a watch": func(t *testing.T, s *served) func() {
			w := s.watch(t, &http.Client{Transport: &http.Transport{}}, "t_ann thread one")
			w.next(t, "state")
			return func() {
				s.move(t, "t_ann", "t_bob", thread("one"))
				w.next(t, "lost", "certified", "uncertain")
			}
		},
		"a request whose body comes slowly": func(t *testing.T, s *served) func() {
			k := keepOpen(t, s.addr)
			write(t, k, "PUT /v1/threads/two HTTP/1.1\r\nHost: localhost\r\nX-Tenant-Id: t_ann\r\nContent-Length: 10\r\n\r\n01234")
			return func() { write(t, k, "56789"); require.Equal(t, 201, k.answer(t).StatusCode) }
		},
		"a header of which half has come": func(t *testing.T, s *served) func() {
			k := keepOpen(t, s.addr)
			require.Equal(t, 204, k.ask(t, "/v1/threads/one/access").StatusCode)
			write(t, k, check[:30])
			return func() { write(t, k, check[30:]); require.Equal(t, 204, k.answer(t).StatusCode) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := watching(t, api.Options{MaxConnections: 2})
			s.own(t, "t_ann", "one")
			finish := begin(t, s)
			idle := keepOpen(t, s.addr)
			require.Equal(t, 204, idle.ask(t, "/v1/threads/one/access").StatusCode)
			s.letIn(t)
			idle.requireClosed(t)
			finish()
		})
	}
}

// loud is a listener whose connections say when they have read something.
type loud struct {
	net.Listener
	read chan struct{}
}

type loudConn struct {
	net.Conn
	read chan struct{}
}

func (l loud) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return loudConn{c, l.read}, err
}

func (c loudConn) Read(p []byte) (n int, err error) {
	n, err = c.Conn.Read(p)
	select {
	case c.read <- struct{}{}:
	default:
	}
	return n, err
}

// Between two requests a connection of HTTP/2 still has frames: its client asks
// whether the server is there.
func TestAnIdleConnectionOfHTTP2IsClosedForANewOne(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	idle, read := make(chan struct{}, 10), make(chan struct{}, 1)
	server := api.Over(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Spare", fmt.Sprint(api.IsSpare(r)))
	}), func(_ net.Conn, state http.ConnState) {
		if state == http.StateIdle {
			idle <- struct{}{}
		}
	})
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = server.Serve(api.Bounded(loud{listener, read}, 1)) }()
	t.Cleanup(func() { _ = server.Close() })

	h2 := new(http.Protocols)
	h2.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: h2, HTTP2: &http.HTTP2Config{SendPingTimeout: time.Millisecond}}}
	response, err := client.Get("http://" + listener.Addr().String())
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "HTTP/2.0", response.Proto)
	for range 2 { // after the preface, and after the request
		<-idle
	}
	for range 3 { // one of them has begun since
		<-read
	}
	require.Equal(t, "false", keepOpen(t, listener.Addr().String()).ask(t, "/").Header.Get("X-Spare"))
}
