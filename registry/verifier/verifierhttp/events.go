package verifierhttp

import (
	"mime"
	"net/http"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/streamend"
)

// isEventStream reports whether an event can be added to an answer with this
// header: it is text/event-stream as it is, neither encoded nor of a length that
// was promised.
func isEventStream(h http.Header) bool {
	encoding := h.Get("Content-Encoding")
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && media == "text/event-stream" &&
		(encoding == "" || encoding == "identity") && h.Get("Content-Length") == ""
}

// tail remembers how an event stream ends so far.
type tail struct {
	line    line
	pending bool // an event has begun: fields came since the last empty line
	cr      bool // the last byte was a carriage return, to which a newline may belong
}

// line is what is known of the line that is being written.
type line int

const (
	empty line = iota
	comment
	field
)

// note takes what was written to the stream. Lines end with CR, LF or both, and
// an empty one dispatches the event (HTML, section 9.2.6).
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

// last is the end of the stream: the last event, which says why and when to come
// back. If the handler left an event unfinished there is no other, only the time:
// a newline would complete it, with its id, and a client that resumes would never
// get the rest. What is unfinished when a stream ends is dropped by clients, except for
// the field "retry", which counts as soon as its line ends.
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
