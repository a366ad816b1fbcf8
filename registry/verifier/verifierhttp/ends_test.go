package verifierhttp_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"
)

// stated is how long the end of a stream may take after its loss, as
// docs/verifier.md says; slack is for the machine.
const (
	stated = 2 * time.Second
	slack  = 3 * time.Second
)

// eventHandlers do, before a client that does not read, what could keep a stream
// open. They go on until stop, whatever they are told.
var eventHandlers = map[string]func(w http.ResponseWriter, r *http.Request, stop <-chan struct{}){
	"sets the write deadline": streamWith(func(c *http.ResponseController) error { return c.SetWriteDeadline(far()) }),
	"sets the read deadline":  streamWith(func(c *http.ResponseController) error { return c.SetReadDeadline(far()) }),
	"clears both deadlines": streamWith(func(c *http.ResponseController) error {
		_ = c.SetReadDeadline(time.Time{})
		return c.SetWriteDeadline(time.Time{})
	}),
	"flushes": streamWith(func(c *http.ResponseController) error { return c.Flush() }),
	"unwraps": func(w http.ResponseWriter, r *http.Request, stop <-chan struct{}) {
		for {
			under, ok := w.(interface{ Unwrap() http.ResponseWriter })
			if !ok {
				break
			}
			w = under.Unwrap()
		}
		streamWith(func(c *http.ResponseController) error { return c.Flush() })(w, r, stop)
	},
	"waits": func(w http.ResponseWriter, _ *http.Request, stop <-chan struct{}) {
		w.Header().Set("Content-Type", "text/event-stream")
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		_ = control.Flush()
		<-stop
	},
	"reads the body": func(w http.ResponseWriter, r *http.Request, stop <-chan struct{}) {
		w.Header().Set("Content-Type", "text/event-stream")
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		_ = control.Flush()
		for !isClosed(stop) {
			_ = control.SetReadDeadline(far())
			if _, err := r.Body.Read(make([]byte, 100)); err != nil {
				time.Sleep(10 * time.Millisecond)
			}
		}
	},
}

// streamWith writes events, and does this before each.
func streamWith(before func(*http.ResponseController) error) func(http.ResponseWriter, *http.Request, <-chan struct{}) {
	return func(w http.ResponseWriter, _ *http.Request, stop <-chan struct{}) {
		w.Header().Set("Content-Type", "text/event-stream")
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex() // else the server first waits for the request's end
		_ = control.Flush()
		event := fmt.Appendf(nil, "data: %0*d\n\n", 32<<10, 0)
		for !isClosed(stop) {
			_ = before(control)
			if _, err := w.Write(event); err != nil {
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
}

var socketHandlers = map[string]func(c net.Conn, rw *bufio.ReadWriter, stop <-chan struct{}){
	"sets all deadlines":          socketWith(func(c net.Conn) { _ = c.SetDeadline(far()) }),
	"sets the deadline of writes": socketWith(func(c net.Conn) { _ = c.SetWriteDeadline(far()) }),
	"sets the deadline of reads":  socketWith(func(c net.Conn) { _ = c.SetReadDeadline(far()) }),
	"clears the deadlines":        socketWith(func(c net.Conn) { _ = c.SetDeadline(time.Time{}) }),
	"flushes": func(c net.Conn, rw *bufio.ReadWriter, stop <-chan struct{}) {
		for !isClosed(stop) {
			_, _ = rw.Write(frame)
			if rw.Flush() != nil {
				rw.Writer.Reset(c)
				time.Sleep(10 * time.Millisecond)
			}
		}
	},
	"unwraps": func(c net.Conn, _ *bufio.ReadWriter, stop <-chan struct{}) {
		if under, ok := c.(interface{ NetConn() net.Conn }); ok {
			c = under.NetConn()
		}
		socketWith(func(c net.Conn) { _ = c.SetDeadline(far()) })(c, nil, stop)
	},
	"waits": func(c net.Conn, _ *bufio.ReadWriter, stop <-chan struct{}) {
		<-stop
		runtime.KeepAlive(c)
	},
}

var frame = append([]byte{0x82, 127, 0, 0, 0, 0, 0, 0, 0x80, 0}, make([]byte, 0x8000)...)

// socketWith writes frames in one goroutine, reads in another, and does this
// before each.
func socketWith(before func(net.Conn)) func(net.Conn, *bufio.ReadWriter, <-chan struct{}) {
	return func(c net.Conn, _ *bufio.ReadWriter, stop <-chan struct{}) {
		loop := func(do func([]byte) (int, error), b []byte) {
			for !isClosed(stop) {
				before(c)
				if _, err := do(b); err != nil {
					time.Sleep(10 * time.Millisecond)
				}
			}
		}
		var both sync.WaitGroup
		both.Go(func() { loop(c.Write, frame) })
		both.Go(func() { loop(c.Read, make([]byte, 100)) })
		both.Wait()
	}
}

func far() time.Time { return time.Now().Add(time.Hour) }

func upgraded(handler func(net.Conn, *bufio.ReadWriter, <-chan struct{}), stop <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
		handler(c, rw, stop)
	}
}

// byHand is an event stream of a handler that took the connection over.
func byHand(handler func(net.Conn, *bufio.ReadWriter, <-chan struct{}), stop <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
		handler(c, rw, stop)
	}
}

// kind is a kind of stream: a handler, and how its client asks.
type kind struct {
	name    string
	handler func(stop <-chan struct{}) http.HandlerFunc
	open    func(*testing.T, *httptest.Server) io.ReadCloser
	over2   bool
}

func kinds() []kind {
	var all []kind
	for name, h := range eventHandlers {
		handler := func(stop <-chan struct{}) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) { h(w, r, stop) }
		}
		all = append(all, kind{"SSE over HTTP/1.1 " + name, handler, open(false), false}, kind{"SSE over HTTP/2 " + name, handler, openOver2, true})
	}
	for name, h := range socketHandlers {
		socket := func(stop <-chan struct{}) http.HandlerFunc { return upgraded(h, stop) }
		events := func(stop <-chan struct{}) http.HandlerFunc { return byHand(h, stop) }
		all = append(all, kind{"WebSocket " + name, socket, open(true), false}, kind{"SSE by hand " + name, events, open(false), false})
	}
	return all
}

func TestAStreamIsEndedWhateverItsHandlerAndItsClientDo(t *testing.T) { requireEnds(t, kinds(), 5) }
