package verifierhttp

import (
	"mime"
	"net/http"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/streamend"
)

// isEventStream reports whether an event can be added to an answer with this
// header: it is plain text/event-stream, neither encoded nor of a promised length.
func isEventStream(h http.Header) bool {
	encoding := h.Get("Content-Encoding")
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && media == "text/event-stream" &&
		(encoding == "" || encoding == "identity") && h.Get("Content-Length") == ""
}

// tail tracks how an event stream ends so far.
type tail struct {
	line    line
	pending bool // an event has begun: fields came since the last empty line
	cr      bool // the last byte was a carriage return, to which a newline may belong
}

// line is the state of the line that is being written.
type line int

const (
	empty line = iota
	comment
	field
)

// note tracks what was written to the stream. Lines end with CR, LF or both, and an
// empty one dispatches the event (HTML, section 9.2.6).
func (t *tail) note(b []byte) {
	for _, c := range b {
		switch {
		case c == '\n' && t.cr:
		case c == '\n' || c == '\r':
			if t.line == empty {
				t.pending = false
			}
			t.line = empty
		case t.line == empty && c == ':':
			t.line = comment
		case t.line == empty:
			t.line, t.pending = field, true
		}
		t.cr = c == '\r'
	}
}

// last returns the end of the stream: the last event, which says why the stream
// ended and when to come back. If the handler left an event unfinished, there is no
// event, only the field "retry". A newline would complete the unfinished event,
// with its id, and a client that resumes would never get the rest. Clients drop an
// unfinished event when a stream ends, except for "retry", which counts as soon as
// its line ends.
func (t *tail) last(cause error, retry time.Duration) []byte {
	prefix := ""
	if t.line != empty {
		prefix = "\n"
	}
	if t.pending {
		return []byte(prefix + streamend.Field(retry))
	}
	return []byte(prefix + streamend.Last(reason(cause), retry))
}
