package verifierhttp_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
	"github.com/northstar-engines/realtime-registry/registry/verifier/verifierhttp"
)

const patience = 300 * time.Millisecond

// failing is a store that is down while it is told to be.
type failing struct {
	*memregistry.Store
	down atomic.Bool
}

func (s *failing) Read(ctx context.Context, r []registry.Resource) (ownership.Snapshot, error) {
	if s.down.Load() {
		return ownership.Snapshot{}, registry.ErrUnavailable
	}
	return s.Store.Read(ctx, r)
}

func (s *failing) Changes(ctx context.Context, cursor *ownership.FeedCursor) (ownership.FeedBatch, error) {
	if s.down.Load() {
		return ownership.FeedBatch{}, registry.ErrUnavailable
	}
	return s.Store.Changes(ctx, cursor)
}

// server streams th_1, which t_ann owns, with the handler.
func server(t *testing.T, handler http.HandlerFunc) (*failing, *httptest.Server) {
	t.Helper()
	store := &failing{Store: memregistry.New()}
	require.NoError(t, registry.New(store).RegisterThread(t.Context(), "t_ann", "th_1"))
	v, err := verifier.New(store, verifier.Options{MaxStaleness: 200 * time.Millisecond, MaxAge: verifier.Unbounded})
	require.NoError(t, err)
	t.Cleanup(v.Close)
	protect, err := verifierhttp.New(v, verifierhttp.Options{
		Tenant:   func(r *http.Request) string { return r.Header.Get("Test-Tenant") },
		Resource: func(*http.Request) registry.Resource { return registry.Resource{Kind: registry.Thread, ID: "th_1"} },
		Patience: patience,
	})
	require.NoError(t, err)
	s := httptest.NewServer(protect(handler))
	t.Cleanup(s.Close)
	require.Eventually(t, func() bool { // the feed is certified
		return !isClosed(v.Watch(t.Context(), registry.Resource{Kind: registry.Thread, ID: "th_1"}))
	}, 10*time.Second, time.Millisecond)
	return store, s
}

// protected is a handler of which t_ann asks for th_1.
func protected(t *testing.T, v verifierhttp.Verifier, handler http.HandlerFunc) http.Handler {
	t.Helper()
	protect, err := verifierhttp.New(v, verifierhttp.Options{
		Tenant:   func(*http.Request) string { return "t_ann" },
		Resource: func(*http.Request) registry.Resource { return registry.Resource{Kind: registry.Thread, ID: "th_1"} },
	})
	require.NoError(t, err)
	return protect(handler)
}

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func moveAway(t *testing.T, s *failing) {
	t.Helper()
	now := time.Now().Add(time.Second)
	require.Equal(t, ownership.Applied, s.Apply(t.Context(), []ownership.Change{{Entry: ownership.Entry{
		Type: ownership.Moved, From: "t_ann", To: "t_bob", Version: ownership.Version{Time: now, Source: "test", ID: "m"},
	}}})[0].Kind)
}

func request(t *testing.T, s *httptest.Server) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
	require.NoError(t, err)
	r.Header.Set("Test-Tenant", "t_ann")
	r.Header.Set("Last-Event-ID", "7")
	answer, err := s.Client().Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

// events streams until its context ends, and tells why that was.
func events(cause chan<- error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: hello\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		cause <- context.Cause(r.Context())
		fmt.Fprint(w, "data: secret\n\n")
	}
}

func TestAnEventStreamEndsWithItsReasonWhenItsTenantLosesTheResource(t *testing.T) {
	cause := make(chan error, 1)
	store, s := server(t, events(cause))
	answer := request(t, s)
	moveAway(t, store)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, "data: hello\n\nevent: registry.closed\ndata: ownership_lost\n\n", untimed(t, body))
	require.ErrorIs(t, <-cause, verifierhttp.ErrLost)
	require.Equal(t, http.StatusNotFound, request(t, s).StatusCode, "a resume is verified again")
}

func TestAnEventStreamLivesThroughAShortOutageAndEndsInALongOne(t *testing.T) {
	cause := make(chan error, 1)
	store, s := server(t, events(cause))
	answer := request(t, s)
	store.down.Store(true)
	select {
	case err := <-cause:
		require.ErrorIs(t, err, verifierhttp.ErrUncertain)
	case <-time.After(30 * time.Second):
		require.Fail(t, "it goes on")
	}
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Contains(t, untimed(t, body), "event: registry.closed\ndata: registry_unavailable\n\n")
}

func TestAStreamThatHasNotBegunIsRefused(t *testing.T) {
	reached := make(chan struct{})
	store, s := server(t, func(_ http.ResponseWriter, r *http.Request) {
		close(reached)
		<-r.Context().Done()
	})
	go func() {
		<-reached
		moveAway(t, store)
	}()
	require.Equal(t, http.StatusNotFound, request(t, s).StatusCode)
}

func TestAHandlerThatLooksAtNothingButItsWritesIsStopped(t *testing.T) {
	stopped := make(chan error, 1)
	store, s := server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			if _, err := fmt.Fprint(w, "data: x\n\n"); err != nil {
				stopped <- err
				return
			}
			_ = http.NewResponseController(w).Flush()
			time.Sleep(time.Millisecond)
		}
	})
	answer := request(t, s)
	moveAway(t, store)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(untimed(t, body), "\n\nevent: registry.closed\ndata: ownership_lost\n\n"))
	require.ErrorIs(t, <-stopped, verifierhttp.ErrLost)
}

func TestAHandlerThatLooksAtNothingButItsFlushesIsStopped(t *testing.T) {
	stopped := make(chan error, 2)
	handler := func(w http.ResponseWriter, _ *http.Request) {
		flusher := http.NewResponseController(w)
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			if err := flusher.Flush(); err != nil {
				stopped <- err
				return
			}
			fmt.Fprint(w, "data: x\n\n")
			time.Sleep(time.Millisecond)
		}
	}
	store, s := server(t, handler)
	leaving := request(t, s)
	require.NoError(t, leaving.Body.Close())
	require.Error(t, <-stopped, "the client has left")
	request(t, s)
	moveAway(t, store)
	require.ErrorIs(t, <-stopped, verifierhttp.ErrLost)
}

func TestAWebSocketIsClosedWithItsCodeAlsoWhereItsHandlerHasReturned(t *testing.T) {
	for name, stay := range map[string]bool{"handler stays": true, "handler returns": false} {
		t.Run(name, func(t *testing.T) {
			gone, returned := make(chan error, 1), make(chan struct{})
			store, s := server(t, func(w http.ResponseWriter, _ *http.Request) {
				conn, buffers, err := http.NewResponseController(w).Hijack()
				if err != nil {
					gone <- err
					return
				}
				fmt.Fprint(buffers, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
				fmt.Fprint(buffers, "\x81\x02hi")
				_ = buffers.Flush()
				serve := func() {
					_, err := io.Copy(io.Discard, buffers)
					_, writing := conn.Write([]byte("\x81\x06secret"))
					require.ErrorIs(t, writing, verifierhttp.ErrLost)
					gone <- err
				}
				if stay {
					serve()
					return
				}
				go serve()
				close(returned)
			})
			conn, err := net.Dial("tcp", s.Listener.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nTest-Tenant: t_ann\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
			in := bufio.NewReader(conn)
			answer, err := http.ReadResponse(in, nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusSwitchingProtocols, answer.StatusCode)
			hi := make([]byte, 4)
			_, err = io.ReadFull(in, hi)
			require.NoError(t, err)
			if !stay {
				<-returned
			}

			moveAway(t, store)
			rest, _ := io.ReadAll(in)
			const code = "\x11\x34" // 4404
			require.Equal(t, "\x88\x10"+code+"ownership_lost", string(rest))
			<-gone
		})
	}
}

func TestAnOrdinaryAnswerIsLeftAsItIs(t *testing.T) {
	_, s := server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, "tea")
	})
	answer := request(t, s)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusTeapot, answer.StatusCode)
	require.Equal(t, "tea", string(body))
}

// over2 is server over HTTP/2.
func over2(t *testing.T, handler http.HandlerFunc) (*failing, *httptest.Server) {
	t.Helper()
	store, s := server(t, handler)
	second := httptest.NewUnstartedServer(s.Config.Handler)
	second.EnableHTTP2 = true
	second.StartTLS()
	t.Cleanup(second.Close)
	return store, second
}

func TestAStreamOverHTTP2EndsWithItsReasonWhateverItsHandlerLooksAt(t *testing.T) {
	for name, wait := range map[string]func(context.Context) bool{
		"context": func(ctx context.Context) bool { <-ctx.Done(); return false },
		"writes":  func(context.Context) bool { return true },
	} {
		t.Run(name, func(t *testing.T) {
			store, s := over2(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				for {
					if _, err := fmt.Fprint(w, "data: hello\n\n"); err != nil {
						return
					}
					if http.NewResponseController(w).Flush() != nil || !wait(r.Context()) {
						return
					}
					time.Sleep(time.Millisecond)
				}
			})
			answer := request(t, s)
			require.Equal(t, 2, answer.ProtoMajor)
			moveAway(t, store)
			body, err := io.ReadAll(answer.Body)
			require.NoError(t, err)
			require.True(t, strings.HasSuffix(untimed(t, body), "\n\nevent: registry.closed\ndata: ownership_lost\n\n"), string(body))
			require.Equal(t, http.StatusNotFound, request(t, s).StatusCode)
		})
	}
}

// losing lets in, and when it has been told of a change, nobody.
type losing chan struct{}

func (l losing) Watch(context.Context, registry.Resource) <-chan struct{} { return l }
func (losing) MaxStaleness() time.Duration                                { return time.Second }

func (losing) Verify(context.Context, string, registry.Resource) error { return nil }
func (losing) Reverify(context.Context, string, registry.Resource) error {
	return registry.ErrNotFound
}

// mortal is a ResponseWriter that must not be touched once its request has ended.
type mortal struct {
	http.ResponseWriter
	mu       sync.Mutex
	deadline time.Time
	dead     bool
	touched  bool
}

func (m *mortal) SetWriteDeadline(d time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deadline, m.touched = d, m.touched || m.dead
	return nil
}

func TestWhatEndsByItselfWhileItIsLostIsNotTouchedAfterwards(t *testing.T) {
	for range 1000 {
		v := make(losing)
		h := protected(t, v, func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(200 * time.Microsecond) // by then it is followed
			close(v)
			for {
				if _, err := w.Write(nil); err != nil {
					return // at once
				}
			}
		})
		w := &mortal{ResponseWriter: httptest.NewRecorder()}
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		w.mu.Lock()
		w.dead = true
		deadline := w.deadline
		w.mu.Unlock()
		runtime.Gosched()
		w.mu.Lock()
		touched := w.touched
		w.mu.Unlock()
		require.False(t, touched)
		require.True(t, deadline.IsZero(), "the connection's next answer has as long as it likes")
	}
}

// watched is a verifier that lets everybody in and tells what is watched.
type watched struct{ watches chan context.Context }

func (watched) Verify(context.Context, string, registry.Resource) error   { return nil }
func (watched) Reverify(context.Context, string, registry.Resource) error { return nil }
func (watched) MaxStaleness() time.Duration                               { return time.Second }

func (w watched) Watch(ctx context.Context, _ registry.Resource) <-chan struct{} {
	w.watches <- ctx
	return make(chan struct{})
}

func TestWhatEndsIsNotWatchedAnyMore(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"answered": func(http.ResponseWriter, *http.Request) {},
		"panics":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"hijacked and closed": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				go conn.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := watched{make(chan context.Context, 1)}
			s := httptest.NewServer(protected(t, v, handler))
			defer s.Close()
			if answer, err := http.Get(s.URL); err == nil {
				_ = answer.Body.Close()
			}
			select {
			case <-(<-v.watches).Done():
			case <-time.After(10 * time.Second):
				require.Fail(t, "it is watched still")
			}
		})
	}
}

// panicking is a watched verifier whose check does not return.
type panicking struct{ watched }

func (panicking) Verify(context.Context, string, registry.Resource) error {
	panic(http.ErrAbortHandler)
}

func TestACheckThatPanicsLeavesNoWatchBehind(t *testing.T) {
	v := panicking{watched{make(chan context.Context, 1)}}
	h := protected(t, v, func(http.ResponseWriter, *http.Request) {})
	require.Panics(t, func() { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)) })
	require.Error(t, (<-v.watches).Err())
}
