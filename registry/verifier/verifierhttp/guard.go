package verifierhttp

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/observe"
	"github.com/northstar-engines/realtime-registry/internal/problem"
	"github.com/northstar-engines/realtime-registry/internal/streamend"
	"github.com/northstar-engines/realtime-registry/registry"
)

// The reasons for which an open stream is ended: the cause of its request's
// context.
var (
	// ErrLost: the tenant no longer owns the resource.
	ErrLost = errors.New("the tenant has lost the resource")
	// ErrUncertain: for Options.Patience it was unknown whether it does.
	ErrUncertain = errors.New("the registry cannot tell whether the tenant still owns the resource")
)

// The reasons as a stream's client gets them.
const (
	ReasonLost      = streamend.Lost
	ReasonUncertain = streamend.Unavailable

	// CloseEvent is the name of the last event of an SSE stream. Its data is the
	// reason.
	CloseEvent = streamend.Event

	// The codes of a WebSocket's close frame, whose text is the reason: one of
	// ours, from the range for applications, and RFC 6455's "try again later".
	CloseCodeLost      = 4404
	CloseCodeUncertain = 1013
)

// A Watcher reports when an owner may have changed. It is a *verifier.Verifier.
type Watcher interface {
	Watch(ctx context.Context, resource registry.Resource) <-chan struct{}
	Reverify(ctx context.Context, tenantID string, resource registry.Resource) error
	MaxStaleness() time.Duration
}

// The waits between two checks of one open stream. Each is drawn from half of it to
// one and a half, so that streams do not all ask at once.
const (
	retryPause = time.Second // after a check that was not answered

	// The waits of a stream that cannot be watched: short at first, since usually
	// that passes in a moment, then longer and longer.
	firstUnwatched = 100 * time.Millisecond
	mostUnwatched  = 5 * time.Second
)

// guard lets owners in, and ends their streams when they lose the resource.
type guard struct {
	Options
	verifier Verifier
	watcher  Watcher       // nil: open streams stay open
	longest  time.Duration // the longest wait if nothing can be watched
	next     http.Handler
	ended    *observe.Counter
}

func newGuard(v Verifier, o Options) (guard, error) {
	if o.Patience == 0 {
		o.Patience = 10 * time.Second
	}
	if o.ReturnOver == 0 {
		o.ReturnOver = streamend.DefaultReturnOver
	}
	i := observe.Providers{MeterProvider: o.MeterProvider}.Instruments(scope)
	g := guard{Options: o, verifier: v, longest: mostUnwatched}
	g.ended = i.Counter("registry.middleware.streams.ended", "{stream}", "Open streams that were ended, by reason.",
		observe.Values("reason", ReasonLost, ReasonUncertain))
	if watcher, ok := v.(Watcher); ok {
		g.watcher = watcher
		if bound := watcher.MaxStaleness(); bound > 0 {
			g.longest = min(g.longest, bound*2/3) // a wait is at most half as long again
		}
	}
	return g, i.Err()
}

func (g guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := claim{g.Tenant(r), g.Resource(r)}
	// A hijacked connection outlives its request.
	life, end := context.WithCancel(context.WithoutCancel(r.Context()))
	s := newStream(g, w, r, end)
	defer s.leave()
	var changed <-chan struct{}
	if g.watcher != nil {
		changed = g.watcher.Watch(life, c.resource) // before the check, so that nothing falls in between
	}
	if err := g.verifier.Verify(r.Context(), c.tenantID, c.resource); err != nil {
		g.refuse(w, r, err)
		return
	}
	if g.watcher == nil {
		g.next.ServeHTTP(w, r)
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	go g.follow(life, c, changed, func(cause error) {
		g.ended.Add(life, 1, reason(cause))
		s.mark(cause)
		cancel(cause)
		s.lose()
	})
	g.next.ServeHTTP(s, s.enter(r.WithContext(ctx)))
}

// refuse answers a request that has no answer yet. A browser's EventSource would
// give up on a 503, so it gets a stream that says why, and when to come back.
func (g guard) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := problem.Of(err)
	if p.Status == http.StatusServiceUnavailable && !g.PlainStatus && streamend.Wanted(r) {
		streamend.Refuse(w, ReasonUncertain, streamend.RetryUnavailable(g.ReturnOver))
		return
	}
	p.Write(w)
}

// claim is the ownership that a stream rests on.
type claim struct {
	tenantID string
	resource registry.Resource
}

// follow calls lost, once, when the claim no longer holds. It ends with life.
func (g guard) follow(life context.Context, c claim, changed <-chan struct{}, lost func(error)) {
	wait := firstUnwatched
	for {
		if isClosed(changed) { // it cannot be watched now
			pause(life, min(wait, g.longest))
			wait = min(2*wait, g.longest)
		} else {
			wait = firstUnwatched
		}
		select {
		case <-life.Done():
			return
		case <-changed:
		}
		var err error
		if changed, err = g.again(life, c); err != nil {
			if life.Err() == nil {
				lost(err)
			}
			return
		}
	}
}

// again verifies until there is an answer or the patience ends, and returns the
// next watch.
func (g guard) again(life context.Context, c claim) (changed <-chan struct{}, err error) {
	ctx, cancel := context.WithTimeout(life, g.Patience)
	defer cancel()
	for {
		changed = g.watcher.Watch(life, c.resource)
		switch err := g.watcher.Reverify(ctx, c.tenantID, c.resource); {
		case err == nil:
			return changed, nil
		case !errors.Is(err, registry.ErrUnavailable):
			return nil, ErrLost
		}
		if pause(ctx, retryPause); ctx.Err() != nil {
			return nil, ErrUncertain
		}
	}
}

func reason(cause error) string {
	if errors.Is(cause, ErrLost) {
		return ReasonLost
	}
	return ReasonUncertain
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// pause waits for about d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
