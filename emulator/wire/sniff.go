package wire

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
)

// splitter gives connections that speak HTTP/2, which is what gRPC speaks, to
// one server, and those that speak HTTP/1 to another: the emulators answer both
// on one port.
type splitter struct {
	net.Listener
	grpc, rest *queue
}

func split(l net.Listener) *splitter {
	s := &splitter{l, newQueue(l.Addr()), newQueue(l.Addr())}
	go s.accept()
	return s
}

func (s *splitter) accept() {
	for {
		conn, err := s.Listener.Accept()
		if err != nil {
			_ = s.grpc.Close()
			_ = s.rest.Close()
			return
		}
		go s.sort(conn)
	}
}

// sort sorts a connection by how it begins.
func (s *splitter) sort(conn net.Conn) {
	const preface = "PRI" // RFC 9113, 3.4
	r := bufio.NewReader(conn)
	begin, err := r.Peek(len(preface))
	switch {
	case err != nil:
		_ = conn.Close()
	case string(begin) == preface:
		s.grpc.put(peeked{conn, r})
	default:
		s.rest.put(peeked{conn, r})
	}
}

// peeked is a connection of which some bytes have been read already.
type peeked struct {
	net.Conn
	r *bufio.Reader
}

func (p peeked) Read(b []byte) (int, error) { return p.r.Read(b) }

// queue is a listener for connections that another listener has accepted.
type queue struct {
	addr  net.Addr
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newQueue(addr net.Addr) *queue {
	return &queue{addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
}

func (q *queue) put(c net.Conn) {
	select {
	case q.conns <- c:
	case <-q.done:
		_ = c.Close()
	}
}

// Accept implements net.Listener.
func (q *queue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (q *queue) Close() error {
	q.once.Do(func() { close(q.done) })
	return nil
}

// Addr implements net.Listener.
func (q *queue) Addr() net.Addr { return q.addr }

// newREST passes HTTP/1 on unchanged.
func newREST(target string) *http.Server {
	return &http.Server{Handler: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: target})}
}
