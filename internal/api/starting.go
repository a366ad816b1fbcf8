package api

import (
	"errors"
	"net/http"
	"sync/atomic"
	"time"
)

// Starting says what the server that is being opened will have.
type Starting struct {
	API    bool // it will answer /v1
	Worker bool // a worker is in the same process
}

func (s *Starting) api() bool    { return s != nil && s.API }
func (s *Starting) worker() bool { return s != nil && s.Worker }

// ServesAPI reports whether the server answers /v1, or will.
func (o Options) ServesAPI() bool { return o.Verifier != nil || o.Starting.api() }

var errStarting = errors.New("starting: the registry is being opened")

// successor is the server that answers in place of another one.
type successor struct {
	server atomic.Pointer[Server] // nil until it is there
	there  chan struct{}
}

func newSuccessor() successor { return successor{there: make(chan struct{})} }

// HandOver has another server answer all that arrives from now on over the connections
// of this one, which has Options.Starting, and what waits. The limits of connections,
// and the timeouts, remain those of this one. It is called once.
func (s *Server) HandOver(to *Server) {
	s.successor.server.Store(to)
	close(s.successor.there)
	if s.draining.Load() {
		to.Drain()
	}
}

// awaitSuccessor waits for the server that can answer the request, and returns nil if
// it does not come in time, or too many wait. Without this, requests that arrive during
// a start would fail, though an answer is often a moment away.
func (s *Server) awaitSuccessor(r *http.Request) *Server {
	if isSpare(r.Context()) {
		return nil
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		return nil
	}
	enough := time.NewTimer(storeTimeout)
	defer enough.Stop()
	select {
	case <-s.successor.there:
		return s.successor.server.Load()
	case <-enough.C:
	case <-r.Context().Done():
	case <-drainOf(r).Done():
	}
	return nil
}
