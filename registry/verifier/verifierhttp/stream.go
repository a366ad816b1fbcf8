package verifierhttp

import (
	"bufio"
	"bytes"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// stream is the answer to a request that was let in. From the moment at which the
// claim is lost, nothing more of the handler's is sent. It has no Unwrap, so that a
// handler cannot get past it: it implements everything of http.ResponseController
// itself.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	request *http.Request
	guard   guard
	body    *body  // nil: the request has none
	end     func() // of the watching

	header http.Header // the handler's, copied to the ResponseWriter when the answer begins. nil: there was no handler
	given  http.Header // what the ResponseWriter had before

	turn turn // held by each write of the handler, and by the guard's own
	// The fields down to tail belong to the holder of the turn.
	begun   bool // the answer has a status
	told    bool // the client has been told of the loss
	parted  bool // the connection or stream is closed, or cannot be
	events  bool // it is an event stream, to which an event can be added
	chunked bool // the end of the body has to be marked (HTTP/1.1)
	tail    tail

	mu       sync.Mutex // held briefly, never while waiting
	cause    error      // why it was lost; nil if it was not
	until    time.Time  // when it is over, once lost
	finished bool       // the handler has returned: the ResponseWriter is net/http's again
	conn     *link      // if it was hijacked
	returned chan struct{}
}

func newStream(g guard, w http.ResponseWriter, r *http.Request, end func()) *stream {
	return &stream{
		guard: g, w: w, control: http.NewResponseController(w), request: r, end: end,
		turn: newTurn(), returned: make(chan struct{}),
	}
}

// enter is called before the handler, and ties r, a copy of the request, to the
// stream.
func (s *stream) enter(r *http.Request) *http.Request {
	s.header, s.given = s.w.Header().Clone(), s.w.Header().Clone()
	if r.Body != nil && r.Body != http.NoBody {
		s.body = &body{ReadCloser: r.Body, stream: s, reading: newTurn()}
		r.Body = s.body
	}
	return r
}

// lost returns the cause of the loss; nil if the claim holds.
func (s *stream) lost() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// Header returns a header of the handler's own: what it sets after the answer has
// begun, or before the guard refuses, is not sent.
func (s *stream) Header() http.Header { return s.header }

func (s *stream) WriteHeader(status int) {
	s.turn.take()
	defer s.turn.release()
	if s.lost() == nil {
		s.begin(status)
		s.w.WriteHeader(status)
	}
}

// begin records the status of the answer. The caller has the turn. 1xx are not the
// answer, except 101, after which there is no other.
func (s *stream) begin(status int) {
	if s.begun {
		return
	}
	replace(s.w.Header(), s.header)
	if status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	s.begun = true
	if s.request.Method == http.MethodHead || status < 200 || status == http.StatusNoContent || status == http.StatusNotModified {
		return // it has no body
	}
	s.events = isEventStream(s.header)
	encoding := s.header.Get("Transfer-Encoding")
	s.chunked = s.request.ProtoMajor == 1 && s.request.ProtoMinor == 1 &&
		s.header.Get("Content-Length") == "" && (encoding == "" || encoding == "chunked")
}

// Write fails with the cause once the claim is lost.
func (s *stream) Write(b []byte) (int, error) {
	s.turn.take()
	defer s.turn.release()
	if cause := s.lost(); cause != nil {
		return 0, cause
	}
	s.begin(http.StatusOK)
	n, err := s.w.Write(b)
	if s.events {
		s.tail.note(b[:n])
	}
	return n, s.why(err)
}

// why replaces an error that the loss may have caused by the cause of the loss.
func (s *stream) why(err error) error {
	if err == nil {
		return nil
	}
	if cause := s.lost(); cause != nil {
		return cause
	}
	return err
}

// Flush is for handlers that ask for an http.Flusher.
func (s *stream) Flush() { _ = s.FlushError() }

// FlushError is for http.ResponseController. It fails with the cause once the claim
// is lost: some handlers check no other error.
func (s *stream) FlushError() error {
	s.turn.take()
	defer s.turn.release()
	if cause := s.lost(); cause != nil {
		return cause
	}
	s.begin(http.StatusOK)
	return s.why(s.control.Flush())
}

// SetReadDeadline works for the handler until the claim is lost; then deadlines are
// the guard's, and it fails with the cause.
func (s *stream) SetReadDeadline(t time.Time) error {
	return s.ifGood(func() error { return s.control.SetReadDeadline(t) })
}

// SetWriteDeadline is like SetReadDeadline.
func (s *stream) SetWriteDeadline(t time.Time) error {
	return s.ifGood(func() error { return s.control.SetWriteDeadline(t) })
}

// EnableFullDuplex is for http.ResponseController.
func (s *stream) EnableFullDuplex() error { return s.ifGood(s.control.EnableFullDuplex) }

func (s *stream) ifGood(do func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return s.cause
	}
	return do()
}

// Hijack hands the connection over, guarded.
func (s *stream) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	s.turn.take()
	defer s.turn.release()
	if cause := s.lost(); cause != nil {
		return nil, nil, cause
	}
	raw, buffers, err := s.control.Hijack()
	if err != nil {
		return nil, nil, err
	}
	l := &link{
		raw: raw, end: s.end, writing: newTurn(),
		websocket: strings.EqualFold(s.request.Header.Get("Upgrade"), "websocket"),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		s.told = true // there is no client left to tell
		l.close()
		return nil, nil, s.cause
	}
	s.conn = l
	c := newConn(l)
	return c, bufio.NewReadWriter(readAhead(buffers.Reader, c), bufio.NewWriter(c)), nil
}

// readAhead returns a reader of c after the bytes that the server has read already,
// so that a handler cannot read past the guard. Buffered bytes stay buffered:
// packages look for them.
func readAhead(server *bufio.Reader, c net.Conn) *bufio.Reader {
	early, _ := server.Peek(server.Buffered())
	r := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(early)), c), max(server.Size(), len(early)))
	if len(early) > 0 {
		_, _ = r.Peek(len(early))
	}
	return r
}

// replace makes h equal to from.
func replace(h, from http.Header) {
	clear(h)
	maps.Copy(h, from.Clone())
}
