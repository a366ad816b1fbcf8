package verifier_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// The test binary is a program of its own if childVariable is set, to a
// MaxAge: it checks and watches by its verifier for all who ask over HTTP,
// prints where, and is killed in the end.
const childVariable = "VERIFIER_TEST_CHILD"

// stalenessVariable is its MaxStaleness.
const stalenessVariable = "VERIFIER_TEST_STALENESS"

const serving = "serving on "

func TestMain(m *testing.M) {
	if maxAge := os.Getenv(childVariable); maxAge != "" {
		fmt.Fprintln(os.Stderr, serve(maxAge))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// serve is what a child does.
func serve(maxAge string) error {
	age, err := time.ParseDuration(maxAge)
	if err != nil {
		return err
	}
	staleness, err := time.ParseDuration(os.Getenv(stalenessVariable))
	if err != nil {
		return err
	}
	ctx := context.Background()
	store, err := fsregistry.Open(ctx, fsregistry.Options{ProjectID: os.Getenv("GOOGLE_CLOUD_PROJECT")})
	if err != nil {
		return err
	}
	defer store.Close()
	heard := &listener{Store: store}
	v, err := verifier.New(heard, verifier.Options{
		MaxStaleness: staleness, MaxAge: age, Timeout: 2 * time.Second, MaxReads: 64,
	})
	if err != nil {
		return err
	}
	defer v.Close()
	routes := http.NewServeMux()
	routes.HandleFunc("GET /check", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(check(v, r)) })
	routes.HandleFunc("GET /watch", func(w http.ResponseWriter, r *http.Request) {
		done := v.Watch(r.Context(), resourceOf(r))
		status := check(v, r)
		w.WriteHeader(status)
		if status != http.StatusOK {
			return
		}
		_ = http.NewResponseController(w).Flush() // it is open
		select {
		case <-done:
		case <-r.Context().Done():
		}
	})
	routes.HandleFunc("PUT /deaf", func(http.ResponseWriter, *http.Request) { heard.deaf.Store(true) })
	routes.HandleFunc("DELETE /deaf", func(http.ResponseWriter, *http.Request) { heard.deaf.Store(false) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(serving + l.Addr().String())
	return http.Serve(l, routes)
}

// check is the status of an answer: yes, no, or unavailable.
func check(v *verifier.Verifier, r *http.Request) int {
	patience, cancel := context.WithTimeout(r.Context(), 500*time.Millisecond)
	defer cancel()
	err := v.Verify(patience, r.FormValue("tenant"), resourceOf(r))
	switch {
	case err == nil:
		return http.StatusOK
	case errors.Is(err, registry.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, registry.ErrUnavailable):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func resourceOf(r *http.Request) registry.Resource {
	return registry.Resource{Kind: registry.Kind(r.FormValue("kind")), ID: r.FormValue("id")}
}

// listener is a store whose notices get lost, or are late, while it is deaf.
// Everything else works.
type listener struct {
	*fsregistry.Store
	deaf atomic.Bool
}

func (l *listener) Listen(ctx context.Context, cursor *ownership.FeedCursor, heard func(int64)) error {
	deafly := func(do func()) {
		switch {
		case !l.deaf.Load():
			do()
		case rand.IntN(2) == 0:
			time.AfterFunc(time.Duration(rand.IntN(3000))*time.Millisecond, do)
		}
	}
	ear := ownership.NewFeedCursor(func(entries []ownership.FeedEntry) { deafly(func() { cursor.Tell(entries...) }) })
	return l.Store.Listen(ctx, ear, func(position int64) { deafly(func() { heard(position) }) })
}

// child is a process with a verifier, and its link to the store, as the test
// sees them.
type child struct {
	*emulatortest.Process
	link   *wire.Link
	url    string
	client *http.Client

	mu        sync.Mutex
	stopped   bool
	continued time.Time
}

// startChild starts a child that finds the emulator at the other end of a link.
func startChild(t *testing.T, project emulatortest.Project, staleness, maxAge time.Duration) *child {
	link, err := wire.NewLink(project.FirestoreHost)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = link.Close() })
	project.FirestoreHost = link.Addr()
	// A race ends the child, and so fails the test.
	env := append(project.Environ(), childVariable+"="+maxAge.String(), stalenessVariable+"="+staleness.String(), "GORACE=halt_on_error=1")
	p := emulatortest.Run(t, env, os.Args[0])
	return &child{
		Process: p, link: link,
		url: "http://" + strings.TrimPrefix(p.AwaitLine(serving, 30*time.Second), serving),
		// Connections are kept: an answer is not to take longer than it must.
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 30 * time.Second},
	}
}

// ask sends a request. It is an error if the child does not answer, or says
// neither yes nor no nor that it is unavailable.
func (c *child) ask(ctx context.Context, method, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	switch response.StatusCode {
	case http.StatusOK, http.StatusNotFound, http.StatusServiceUnavailable:
		return response, nil
	}
	_ = response.Body.Close()
	return nil, fmt.Errorf("%s %s: %s", method, path, response.Status)
}

func (c *child) tell(ctx context.Context, method, path string) error {
	response, err := c.ask(ctx, method, path)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

func (c *child) deafen(ctx context.Context) error   { return c.tell(ctx, http.MethodPut, "/deaf") }
func (c *child) undeafen(ctx context.Context) error { return c.tell(ctx, http.MethodDelete, "/deaf") }

// check reports whether the answer is a yes.
func (c *child) check(ctx context.Context, tenant string, r registry.Resource) (yes bool, err error) {
	response, err := c.ask(ctx, http.MethodGet, "/check"+query(tenant, r))
	if err != nil {
		return false, err
	}
	return response.StatusCode == http.StatusOK, response.Body.Close()
}

// watch returns a channel that is closed when the child tells that the watch is;
// nil if the answer is not a yes.
func (c *child) watch(ctx context.Context, tenant string, r registry.Resource) (<-chan struct{}, error) {
	response, err := c.ask(ctx, http.MethodGet, "/watch"+query(tenant, r))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, response.Body.Close()
	}
	done := make(chan struct{})
	go func() {
		defer response.Body.Close()
		if _, err := io.Copy(io.Discard, response.Body); err == nil { // the child ended it
			close(done)
		}
	}()
	return done, nil
}

func query(tenant string, r registry.Resource) string {
	return "?" + url.Values{"tenant": {tenant}, "kind": {string(r.Kind)}, "id": {r.ID}}.Encode()
}

// stop holds the process up, as an overloaded machine does.
func (c *child) stop(ctx context.Context, d time.Duration) {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.Signal(syscall.SIGSTOP)
	pause(ctx, d)
	c.Signal(syscall.SIGCONT)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped, c.continued = false, time.Now()
}

// heldUp reports whether the process could not tell anything at a time: it was
// stopped, or had been within the grace.
func (c *child) heldUp(at time.Time, grace time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopped || at.Sub(c.continued) <= grace
}
