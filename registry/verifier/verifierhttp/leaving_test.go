package verifierhttp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
)

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
		require.True(t, deadline.IsZero(), "the connection's next answer has no deadline")
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
