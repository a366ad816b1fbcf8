package verifierhttp_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry/verifier/verifierhttp"
)

// opened are the streams of a kind.
type opened struct {
	kind
	lose           losing
	stop           chan struct{}
	told, returned atomic.Int32
	bodies         []io.ReadCloser
}

// requireEnds opens n streams of each kind, to clients that read nothing but the
// header of the answer, and takes the resource away from all of them.
func requireEnds(t *testing.T, kinds []kind, n int) {
	t.Helper()
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	t.Cleanup(func() { requireNothingLeft(t, goroutines, files) }) // runs last, when the servers are closed
	var all []*opened
	for _, k := range kinds {
		o := &opened{kind: k, lose: make(losing), stop: make(chan struct{})}
		handler := k.handler(o.stop)
		s := startSmall(t, k.over2, protected(t, o.lose, func(w http.ResponseWriter, r *http.Request) {
			context.AfterFunc(r.Context(), func() {
				if errors.Is(context.Cause(r.Context()), verifierhttp.ErrLost) {
					o.told.Add(1)
				}
			})
			handler(w, r)
			o.returned.Add(1)
		}))
		for range n {
			o.bodies = append(o.bodies, k.open(t, s))
		}
		all = append(all, o)
	}
	time.Sleep(200 * time.Millisecond) // most of those that write wait for their clients by now
	for _, o := range all {
		close(o.lose)
	}
	for _, o := range all {
		require.Eventually(t, func() bool { return int(o.told.Load()) == n }, slack, time.Millisecond, "%s: its context ends", o.name)
	}
	time.Sleep(stated) // that the client does not read meanwhile is the test
	for _, o := range all {
		within(t, slack, func() {
			for _, body := range o.bodies {
				_, _ = io.Copy(io.Discard, body)
			}
		}, o.name+": it is closed")
		close(o.stop)
	}
	for _, o := range all {
		require.Eventually(t, func() bool { return int(o.returned.Load()) == n }, slack, time.Millisecond, "%s: its handler returns", o.name)
		for _, body := range o.bodies {
			require.NoError(t, body.Close())
		}
	}
}

func within(t *testing.T, d time.Duration, do func(), what string) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatal("not in time: " + what)
	}
}

// startSmall starts a server whose sockets hold little, so that a client that does
// not read is felt soon.
func startSmall(t *testing.T, over2 bool, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if over, ok := c.(*tls.Conn); ok {
			c = over.NetConn()
		}
		_ = c.(*net.TCPConn).SetWriteBuffer(4 << 10)
		return ctx
	}
	s.EnableHTTP2 = over2
	if over2 {
		s.StartTLS()
		transport := s.Client().Transport.(*http.Transport)
		transport.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10, MaxReceiveBufferPerConnection: 64 << 20}
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// open opens a stream over a connection of its own, whose client goes on sending
// and reads the header of the answer alone.
func open(websocket bool) func(*testing.T, *httptest.Server) io.ReadCloser {
	header := "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	if websocket {
		header = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	}
	small := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10) })
	}}
	return func(t *testing.T, s *httptest.Server) io.ReadCloser {
		t.Helper()
		c, err := small.DialContext(t.Context(), "tcp", s.Listener.Addr().String())
		require.NoError(t, err)
		_, err = io.WriteString(c, header)
		require.NoError(t, err)
		require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute))) // a test that fails should end
		in := bufio.NewReaderSize(c, 16)
		answer, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		require.Less(t, answer.StatusCode, 300)
		go func() {
			for {
				if _, err := io.WriteString(c, "5\r\nhello\r\n"); err != nil {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
		}()
		return readCloser{in, c}
	}
}

type readCloser struct {
	io.Reader
	io.Closer
}

func openOver2(t *testing.T, s *httptest.Server) io.ReadCloser {
	t.Helper()
	more, sending := io.Pipe()
	t.Cleanup(func() { _ = sending.Close() })
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, more)
	require.NoError(t, err)
	answer, err := s.Client().Do(r)
	require.NoError(t, err)
	require.Equal(t, 2, answer.ProtoMajor)
	require.Equal(t, http.StatusOK, answer.StatusCode)
	return answer.Body
}

// openFiles counts what this process has open.
func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc here")
	}
	return len(files)
}

// requireNothingLeft waits until there are no more goroutines and open files
// than before.
func requireNothingLeft(t *testing.T, goroutines, files int) {
	t.Helper()
	require.Eventually(t, func() bool { // in a goroutine of its own
		runtime.GC() // what is forgotten is closed when it is collected
		return runtime.NumGoroutine() <= goroutines+1 && openFiles(t) <= files
	}, 30*time.Second, 10*time.Millisecond, "before there were %d goroutines and %d files", goroutines, files)
}
