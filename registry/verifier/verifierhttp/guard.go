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

// Why an open stream was ended: the cause of its request's context.
var (
	// ErrLost: the tenant owns the resource no more.
	ErrLost = errors.New("the tenant has lost the resource")
	// ErrUncertain: for Options.Patience it could not be told.
	ErrUncertain = errors.New("the registry cannot tell whether the tenant still owns the resource")
)

// How a stream's end is said to its client.
const (
	ReasonLost      = streamend.Lost
	ReasonUncertain = streamend.Unavailable

	// CloseEvent is the name of the last event of an SSE stream; its data is
	// the reason.
	CloseEvent = streamend.Event

	// The codes of a WebSocket's close frame, whose text is the reason: one
	// for applications that is ours, and RFC 6455's "try again later".
	CloseCodeLost      = 4404
	CloseCodeUncertain = 1013
)

// Watcher tells when an owner may have changed: a *verifier.Verifier.
type Watcher interface {
	Watch(ctx context.Context, resource registry.Resource) <-chan struct{}
	Reverify(ctx context.Context, tenantID string, resource registry.Resource) error
	MaxStaleness() time.Duration
}

// Waits between two checks of one open stream; each is drawn from half of it to
// one and a half, so that streams do not ask all at once.
const (
	retryPause = time.Second // after a check that was not answered

	// If a stream cannot be watched: soon, since usually it can be in a
	// moment, then later and later.
	firstUnwatched = 100 * time.Millisecond
	mostUnwatched  = 5 * time.Second
)

// guard lets owners in, and ends their streams when they are owners no more.
type guard struct {
	Options
	verifier Verifier
	watcher  Watcher       // nil: streams that are open stay open
	longest  time.Duration // to wait for what cannot be watched
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
// give up on a 503, so one is told in a stream why, and when to come back.
func (g guard) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := problem.Of(err)
	if p.Status == http.StatusServiceUnavailable && !g.PlainStatus && streamend.Wanted(r) {
		streamend.Refuse(w, ReasonUncertain, streamend.RetryUnavailable(g.ReturnOver))
		return
	}
	p.Write(w)
}

// claim is what a stream rests on.
type claim struct {
	tenantID string
	resource registry.Resource
}

// follow calls lost, once, when the claim is good no more; it ends with life.
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

// pause waits about d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
