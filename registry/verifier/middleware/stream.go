package middleware

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/problem"
	"github.com/northstar-engines/realtime-registry/registry"
)

// stream is the answer to a request that was let in. From the moment at which
// the claim is lost nothing more of the handler's gets out.
type stream struct {
	http.ResponseWriter
	request *http.Request
	end     func() // of the watching

	mu       sync.Mutex
	cause    error // why it was lost; nil where it was not
	begun    bool  // something was answered
	events   bool  // it is text/event-stream
	finished bool  // the handler has returned: the ResponseWriter is net/http's again
	conn     *conn // where it was hijacked
}

// Unwrap is for http.ResponseController.
func (s *stream) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *stream) WriteHeader(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return
	}
	s.begin(status)
	s.ResponseWriter.WriteHeader(status)
}

// begin takes note of what is answered; 1xx are not the answer.
func (s *stream) begin(status int) {
	if !s.begun && s.cause == nil && status >= 200 {
		s.begun = true
		s.events = strings.HasPrefix(s.Header().Get("Content-Type"), "text/event-stream")
	}
}

// Write fails with the cause once the claim is lost.
func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	if s.cause != nil {
		defer s.mu.Unlock()
		return 0, s.cause
	}
	s.begin(http.StatusOK)
	s.mu.Unlock()
	return s.ResponseWriter.Write(b) // not under the lock: a slow client may hold it up
}

// Flush is for handlers that ask for an http.Flusher.
func (s *stream) Flush() { _ = s.FlushError() }

// FlushError is for http.ResponseController. It fails with the cause once the
// claim is lost: some handlers look at nothing else.
func (s *stream) FlushError() error {
	s.mu.Lock()
	cause := s.cause
	s.begin(http.StatusOK)
	s.mu.Unlock()
	if cause != nil {
		return cause
	}
	return http.NewResponseController(s.ResponseWriter).Flush()
}

// Hijack hands the connection over, guarded.
func (s *stream) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	hijacked, buffers, err := http.NewResponseController(s.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = &conn{Conn: hijacked, end: s.end, frames: strings.EqualFold(s.request.Header.Get("Upgrade"), "websocket")}
	if s.cause != nil {
		_ = s.conn.Close()
		return nil, nil, s.cause
	}
	return s.conn, bufio.NewReadWriter(buffers.Reader, bufio.NewWriter(s.conn)), nil
}

// lose stops what the handler sends, where it has not returned.
func (s *stream) lose(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cause = cause
	switch {
	case s.conn != nil:
		s.conn.lose(cause)
	case !s.finished:
		s.writeUntil(time.Now().Add(closeWait)) // a handler that waits for a slow client gets on
	}
}

// writeUntil sets the deadline of writes, where the server knows any.
func (s *stream) writeUntil(deadline time.Time) {
	_ = http.NewResponseController(s.ResponseWriter).SetWriteDeadline(deadline)
}

// finish is called when the handler has returned, and tells the client why it
// had to.
func (s *stream) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished = true
	if s.conn != nil || s.cause == nil {
		return
	}
	s.writeUntil(time.Now().Add(closeWait))
	defer s.writeUntil(time.Time{})
	switch {
	case !s.begun && errors.Is(s.cause, ErrLost):
		problem.Of(registry.ErrNotFound).Write(s.ResponseWriter)
	case !s.begun:
		problem.Of(registry.ErrUnavailable).Write(s.ResponseWriter)
	case s.events:
		// The empty line ends an event that the handler may have left unfinished.
		_, _ = fmt.Fprintf(s.ResponseWriter, "\n\nevent: %s\ndata: %s\n\n", CloseEvent, reason(s.cause))
		_ = http.NewResponseController(s.ResponseWriter).Flush()
	}
}

// leave ends the watching when the request ends, however it does. Where the
// connection was hijacked it is the conn that ends it.
func (s *stream) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished = true
	if s.conn == nil {
		s.end()
	}
}
