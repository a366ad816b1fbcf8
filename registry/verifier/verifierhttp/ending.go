package verifierhttp

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/streamend"
	"github.com/northstar-engines/realtime-registry/registry"
)

// The bounds on ending a stream, from the moment at which the guard knows of the
// loss.
const (
	// letGo is how long the handler has to return, and how long a write to a slow
	// client may go on.
	letGo = time.Second

	// ended is the time by which the client has been told, or cannot be, and its
	// connection or stream is closed.
	ended = 2 * time.Second
)

// mark makes every operation of the handler fail with the cause. It is called
// before the context ends, since a handler may write as soon as it sees that.
func (s *stream) mark(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cause, s.until = cause, time.Now().Add(ended)
	if s.conn != nil {
		s.conn.mark(cause)
	}
}

// lose ends a marked stream, whatever its handler and its client do. It returns
// when that is done.
func (s *stream) lose() {
	now := time.Now()
	s.mu.Lock()
	conn, finished := s.conn, s.finished
	if conn == nil && !finished {
		_ = s.control.SetWriteDeadline(now.Add(letGo))
		if s.body != nil {
			_ = s.control.SetReadDeadline(now)
		}
	}
	s.mu.Unlock()
	switch {
	case conn != nil:
		conn.lose()
	case !finished:
		wait := time.NewTimer(letGo)
		defer wait.Stop()
		s.mine(ended, s.tell)
		select {
		case <-s.returned:
		case <-wait.C:
			s.mine(letGo, s.part)
		}
	}
}

// mine calls do with the turn, if it gets the turn in time and the handler has not
// returned. A write of the handler releases the turn by its deadline.
func (s *stream) mine(within time.Duration, do func()) {
	if !s.turn.within(within) {
		return
	}
	defer s.turn.release()
	s.mu.Lock()
	finished := s.finished
	s.mu.Unlock()
	if !finished {
		do()
	}
}

// tell tells the client why the stream ends, once.
func (s *stream) tell() {
	if s.told {
		return
	}
	s.told = true
	_ = s.control.SetWriteDeadline(s.until)
	switch {
	case !s.begun:
		replace(s.w.Header(), s.given) // without what the handler has set
		if s.request.ProtoMajor == 1 {
			s.w.Header().Set("Connection", "close")
		}
		err := registry.ErrUnavailable
		if errors.Is(s.cause, ErrLost) {
			err = registry.ErrNotFound
		}
		s.guard.refuse(s.w, s.request, err)
	case s.events:
		_, _ = s.w.Write(s.tail.last(s.cause, streamend.Retry(s.guard.ReturnOver)))
	}
	dropTrailers(s.w.Header())
	_ = s.control.Flush()
}

// part ends the answer, once. Over HTTP/1 it takes the connection away from the
// server, even if the handler has not returned. Over HTTP/2 a deadline in the past
// resets the stream.
func (s *stream) part() {
	if s.parted {
		return
	}
	s.parted = true
	if s.request.ProtoMajor != 1 {
		_ = s.control.SetWriteDeadline(time.Now())
		return
	}
	if s.body != nil { // its Read returns by its deadline
		if !s.body.reading.within(letGo) {
			return
		}
		defer s.body.reading.release()
	}
	raw, _, err := s.control.Hijack()
	if err != nil {
		_ = s.control.SetWriteDeadline(time.Time{}) // no deadline for the connection's next answer
		return
	}
	_ = raw.SetWriteDeadline(s.until)
	if s.chunked {
		_, _ = io.WriteString(raw, "0\r\n\r\n")
	}
	go closeSoon(raw, s.until)
}

// leave is called when the handler has returned, even by a panic. If the claim was
// lost it tells the client why. It ends the watching, unless the connection was
// hijacked: then the conn does.
func (s *stream) leave() {
	close(s.returned)
	s.mu.Lock()
	lost := s.conn == nil && s.cause != nil
	s.finished = !lost
	if s.conn == nil {
		defer s.end()
	}
	s.mu.Unlock()
	if s.header != nil && !lost && s.conn == nil {
		replace(s.w.Header(), s.header) // trailers; all of it if nothing was answered
	}
	if lost {
		s.mine(letGo, func() {
			s.tell()
			if s.request.ProtoMajor == 1 {
				s.part()
			}
			s.finish()
		})
		s.finish()
	}
}

// finish gives the ResponseWriter back to net/http.
func (s *stream) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished = true
}

// dropTrailers removes what would be sent after the body.
func dropTrailers(h http.Header) {
	for _, names := range h.Values("Trailer") {
		for name := range strings.SplitSeq(names, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for name := range h {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			delete(h, name)
		}
	}
}

// closeSoon closes a connection once its client has read what was sent, or at the
// given time. If it closed the connection with unread bytes of the client, TCP
// would send a reset, and the client would lose what it has not read yet.
func closeSoon(c net.Conn, until time.Time) {
	defer closeNow(c)
	timer := time.AfterFunc(time.Until(until), func() { closeNow(c) })
	defer timer.Stop()
	if half, ok := c.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_ = c.SetReadDeadline(until)
		_, _ = io.Copy(io.Discard, c)
	}
}

// closeNow closes a connection without TLS's goodbye, which would wait for 5 s for
// a client that does not read.
func closeNow(c net.Conn) {
	if over, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = over.NetConn()
	}
	_ = c.Close()
}
