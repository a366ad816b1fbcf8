// Package streamend says to the client of an event stream why it ends and when to
// come back (design §6), for all that end or refuse streams, so that they say it in
// the same bytes.
//
// A browser's EventSource gives up for good on every answer that is not a 200 of
// text/event-stream, and comes back, after the time of the field "retry", if a
// stream that had begun ends (HTML, section 9.2). So a refusal that will pass is
// said in a stream of one event.
package streamend

import (
	"fmt"
	"math/rand/v2"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/problem"
)

// Event is the name of the last event of a stream. Its data is the reason.
const Event = "registry.closed"

// The reasons.
const (
	Lost        = "ownership_lost"       // the tenant owns the resource no more: coming back is answered 404
	Unavailable = "registry_unavailable" // it is not known whether the tenant may go on
	Throttled   = "throttled"            // the tenant has used up its quota
)

// DefaultReturnOver is over how long the clients of streams that end together come
// back, if nothing else is said.
const DefaultReturnOver = 10 * time.Second

// Retry is when one of many clients comes back whose open streams end together: at
// random over that time, a second later on.
func Retry(over time.Duration) time.Duration {
	return time.Second + rand.N(max(over, 1))
}

// RetryUnavailable is Retry for clients that could not be let in: not sooner than
// the Retry-After that others get with their 503.
func RetryUnavailable(over time.Duration) time.Duration {
	return problem.MostRetryAfter*time.Second + rand.N(max(over, 1))
}

// Field is the field "retry", a line.
func Field(retry time.Duration) string {
	return fmt.Sprintf("retry: %d\n", (retry + time.Millisecond - 1).Milliseconds())
}

// Last is the last event of a stream: retry, name, reason. It begins a line.
func Last(reason string, retry time.Duration) string {
	return Field(retry) + "event: " + Event + "\ndata: " + reason + "\n\n"
}

// Wanted reports whether the request is an EventSource's, or one like it: a GET
// that names text/event-stream in Accept. A wildcard does not: it is what clients
// send that look at the status.
func Wanted(r *http.Request) bool {
	if r.Method != http.MethodGet {
		return false
	}
	for _, line := range r.Header.Values("Accept") {
		for accepted := range strings.SplitSeq(line, ",") {
			media, parameters, err := mime.ParseMediaType(accepted)
			if err != nil || media != "text/event-stream" {
				continue
			}
			if q, err := strconv.ParseFloat(parameters["q"], 64); err != nil || q > 0 {
				return true
			}
		}
	}
	return false
}

// Refuse answers with a stream of that one event.
func Refuse(w http.ResponseWriter, reason string, retry time.Duration) {
	last := Last(reason, retry)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Content-Length", strconv.Itoa(len(last)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte(last)) // the caller may be gone; there is no one else to tell
}
