package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/problem"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

const (
	// watchLife is how long a watch lasts at most; it may be up to a tenth less. A
	// client uses its own clock, and two clocks that are off by 50 parts in a
	// million each are 0.4 s apart by then.
	watchLife = time.Hour
	// mostStandstill is how far this machine's clocks may differ since a watch
	// began: at_ms stands still while a machine is suspended.
	mostStandstill = 500 * time.Millisecond
)

// The reasons why a watch is closed, other than by its client.
var (
	errShutdown = errors.New("the server drains")
	errLifeOver = errors.New("it has lasted long enough")
	errStoodOff = errors.New("this machine was suspended, or its clock was set")
	errRevoked  = errors.New("its token is no longer valid")
)

// watch answers POST /v1/watch: it verifies the ownerships, reports the result, and
// then reports what becomes of them. It has a slot of the requests in progress
// until its first report.
func (s *Server) watch(x *exchange, r *http.Request, body []byte, leave func()) {
	most := s.options.Verifier.MaxStaleness()
	if most == 0 {
		problem.New(http.StatusNotImplemented, "nothing can be watched: --max-staleness is 0 here, so every check is read").Write(x.answer)
		return
	}
	asked, err := watchShape.decode(body)
	if err != nil {
		s.fail(x.answer, r, err)
		return
	}
	select {
	case s.watches <- struct{}{}:
		defer func() { <-s.watches }()
	default:
		problem.New(http.StatusServiceUnavailable, "too many watches are open here; try again").Write(x.answer)
		return
	}
	verifying, cancel := context.WithTimeout(r.Context(), s.options.RequestTimeout)
	defer cancel()
	watcher, refused, err := s.options.Verifier.WatchAll(verifying, asked)
	if err != nil {
		s.fail(x.answer, r, err)
		return
	}
	defer watcher.Close()
	leave()
	stream := newEventStream(s.watching, x, r, most)
	stream.open(len(asked), refused)
	defer stream.end()
	x.record() // the rest is no longer a request
	s.tell(r, watcher, stream)
}

// tell sends the watcher's news until the client leaves, does not read, or has to
// ask elsewhere.
func (s *Server) tell(r *http.Request, watcher *verifier.Watcher, stream *eventStream) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(drainOf(r), func() { cancel(errShutdown) })()
	life := time.AfterFunc(watchLife-rand.N(watchLife/10), func() { cancel(errLifeOver) })
	defer life.Stop()
	for stream.err == nil {
		news, err := watcher.Next(ctx)
		switch g := s.guard.Load(); {
		case err != nil:
		case stoodStill(stream.received, news.At):
			err = errStoodOff
		case g.demands(apiToken) && !g.carries(r, apiToken):
			err = errRevoked
		}
		if err != nil {
			if r.Context().Err() == nil {
				stream.closing()
			}
			stream.err = err
			return
		}
		stream.news(news)
	}
}

// stoodStill reports whether the machine, or its clock for intervals, stood still
// between two times, or its clock was set forward.
func stoodStill(from, to time.Time) bool {
	return to.Round(0).Sub(from.Round(0))-to.Sub(from) > mostStandstill
}

// eventStream writes the answer to a watch.
type eventStream struct {
	*watching
	answer   *answer
	control  *http.ResponseController
	received time.Time
	patience time.Duration // how long a write may take
	most     time.Duration // MaxStaleness
	reason   string        // why nothing is certified, as last sent
	watched  int           // resources
	err      error         // why it has ended
}

func newEventStream(t *watching, x *exchange, r *http.Request, most time.Duration) *eventStream {
	e := &eventStream{
		watching: t, answer: x.answer, control: http.NewResponseController(x.answer), received: x.began,
		patience: min(max(most, time.Second), 10*time.Second), most: most,
	}
	h := x.answer.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // otherwise nginx would buffer events
	narrow(r)
	return e
}

// open sends the first event.
func (e *eventStream) open(asked int, refused []int) {
	if refused == nil {
		refused = []int{} // in JSON a list too
	}
	e.watched = asked - len(refused)
	e.watching.open.Add(1)
	e.resources.Add(int64(e.watched))
	e.send("state", struct {
		Refused []int `json:"refused"`
	}{refused})
}

func (e *eventStream) end() {
	e.watching.open.Add(-1)
	e.resources.Add(-int64(e.watched))
	e.ended.Add(context.Background(), 1, endOf(e.err))
}

// news sends what is lost before what is certified.
func (e *eventStream) news(n verifier.News) {
	if len(n.Lost) > 0 {
		e.watched -= len(n.Lost)
		e.resources.Add(-int64(len(n.Lost)))
		e.send("lost", struct {
			Resources []int `json:"resources"`
		}{n.Lost})
	}
	switch {
	case n.Certified:
		e.reason = ""
		e.send("certified", struct {
			At   int64 `json:"at_ms"`
			Age  int64 `json:"age_ms"`
			Most int64 `json:"max_staleness_ms"`
		}{ // rounded towards older
			n.At.Sub(e.received).Milliseconds(), (n.Age + time.Millisecond - 1).Milliseconds(), e.most.Milliseconds(),
		})
	case n.Uncertain != "" && n.Uncertain != e.reason:
		e.reason = n.Uncertain
		e.send("uncertain", struct {
			Reason string `json:"reason"`
		}{n.Uncertain})
	case len(n.Lost) == 0: // so that the client knows that the connection is alive
		e.write(": " + n.Uncertain + "\n\n")
	}
}

// closing asks the client to come back: soon, since its knowledge is good for
// MaxStaleness, but not all clients at once.
func (e *eventStream) closing() {
	after := rand.N(e.most / 2).Milliseconds()
	e.events.Add(context.Background(), 1, "closing")
	e.write(fmt.Sprintf("event: closing\nretry: %d\ndata: {}\n\n", after))
}

func (e *eventStream) send(event string, data any) {
	text, err := json.Marshal(data)
	if err != nil {
		panic(err) // numbers and our own texts: cannot happen
	}
	e.events.Add(context.Background(), 1, event)
	e.write("event: " + event + "\ndata: " + string(text) + "\n\n")
}

// write sends one event. A client that does not take it in time is cut off.
func (e *eventStream) write(text string) {
	err := e.control.SetWriteDeadline(time.Now().Add(e.patience))
	if err == nil || errors.Is(err, http.ErrNotSupported) {
		_, err = e.answer.Write([]byte(text))
	}
	if err == nil {
		err = e.control.Flush()
	}
	if err != nil && e.err == nil {
		e.err = err
	}
}
