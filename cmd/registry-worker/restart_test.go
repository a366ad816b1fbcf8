package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// balancer sends each request to one that was ready when it looked last, as load
// balancers do: over connections that it keeps open, and with no second try.
type balancer struct {
	t    *testing.T
	next atomic.Int64
	mu   sync.Mutex
	all  []*backendServer
}

type backendServer struct {
	proxy *httputil.ReverseProxy
	ready atomic.Bool
}

func (b *balancer) add(ctx context.Context, at string) {
	target, err := url.Parse(at)
	require.NoError(b.t, err)
	s := &backendServer{proxy: httputil.NewSingleHostReverseProxy(target)}
	s.proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 100}
	s.proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, err.Error(), http.StatusBadGateway)
	}
	look := func() {
		response, err := http.Get(at + "/readyz/api")
		s.ready.Store(err == nil && response.StatusCode == http.StatusOK)
		if err == nil {
			response.Body.Close()
		}
	}
	look()
	b.mu.Lock()
	b.all = append(b.all, s)
	b.mu.Unlock()
	go func() {
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				look()
			}
		}
	}()
}

func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	all := b.all
	b.mu.Unlock()
	turn := int(b.next.Add(1)) // so that what is about to end has its share
	for i := range all {
		if s := all[(turn+i)%len(all)]; s.ready.Load() {
			s.proxy.ServeHTTP(w, r)
			return
		}
	}
	http.Error(w, "nobody is ready", http.StatusBadGateway)
}

func TestARestartBehindALoadBalancerFailsNoRequest(t *testing.T) {
	t.Parallel() // it mostly waits
	c := onEmulators(t)
	b := &balancer{t: t}
	front := &http.Server{Handler: b}
	defer front.Close()
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer stop()
	start := func() (*emulatortest.Process, string) { return c.service("serve", "--shutdown-delay", "2s") }
	old, at := start()
	require.Equal(t, http.StatusCreated, do(t, http.MethodPut, at+"/v1/threads/th_1", "t_ada"))
	b.add(ctx, at)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = front.Serve(listener) }()

	var answered, failed atomic.Int64
	for client := range 8 {
		group.Go(func() { // PUT and POST: Go's client does not repeat them, as it does a GET
			for n := 0; ctx.Err() == nil; n++ {
				method, path := http.MethodPut, "/v1/threads/th_1"
				if n%2 == 0 {
					method, path = http.MethodPost, fmt.Sprintf("/v1/quota/client_%d/take", client)
				}
				request, err := http.NewRequest(method, "http://"+listener.Addr().String()+path, nil)
				if err != nil {
					t.Error(err)
					return
				}
				request.Header.Set("X-Tenant-Id", "t_ada")
				response, err := http.DefaultClient.Do(request)
				if err != nil {
					t.Error(err)
					return
				}
				text, _ := io.ReadAll(response.Body)
				response.Body.Close()
				if response.StatusCode != http.StatusNoContent && response.StatusCode != http.StatusTooManyRequests {
					if failed.Add(1) == 1 {
						t.Errorf("%s %s: %d %s", method, path, response.StatusCode, text)
					}
				}
				answered.Add(1)
			}
		})
	}
	more := func(n int64) {
		t.Helper()
		until := answered.Load() + n
		require.Eventually(t, func() bool { return answered.Load() >= until || failed.Load() > 0 }, time.Minute, time.Millisecond)
	}
	for range 2 { // restarts
		more(200)
		next, at := start()
		b.add(ctx, at)
		more(50)
		old.Signal(syscall.SIGTERM)
		require.Equal(t, exitDone, old.Wait(30*time.Second))
		old = next
	}
	more(200)
	require.Zero(t, failed.Load(), "of %d", answered.Load())
}
