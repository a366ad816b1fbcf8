package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/quota"
	quotamemory "github.com/northstar-engines/realtime-registry/quota/memquota"
	"github.com/northstar-engines/realtime-registry/quota/quotahttp"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

const soon = time.Minute

// behind is the transport behind a real proxy with its configuration of
// deploy/proxies, in which alice is of t_acme, and bob of t_globex.
type behind struct {
	*verifier.Verifier // the registry's

	t    *testing.T
	addr string // of the proxy

	store     *memregistry.Store
	sick      atomic.Bool // the registry's store does not answer
	registry  string      // its address
	stop      func()      // ends the registry
	transport *httptest.Server

	mu      sync.Mutex
	reached []*http.Request // the transport
}

func (b *behind) Verify(ctx context.Context, tenantID string, resource registry.Resource) error {
	if b.sick.Load() {
		return registry.ErrUnavailable
	}
	return b.Verifier.Verify(ctx, tenantID, resource)
}

// start starts registry and transport; bob may connect twice an hour.
func start(t *testing.T) *behind {
	t.Helper()
	b := &behind{t: t, store: memregistry.New(), registry: "127.0.0.1:0"}
	for tenant, thread := range map[string]string{"t_acme": "th_acme", "t_globex": "th_globex"} {
		require.NoError(t, registry.New(b.store).RegisterThread(t.Context(), tenant, thread))
	}
	var err error
	b.Verifier, err = verifier.New(b.store, verifier.Options{})
	require.NoError(t, err)
	t.Cleanup(b.Verifier.Close)
	b.startRegistry()
	first := func(_ context.Context, thread string, after int) (string, error) {
		if after > 0 {
			return "", io.EOF
		}
		return "hello from " + thread, nil
	}
	handler, err := transport(b.store, verifier.Options{}, first)
	require.NoError(t, err)
	b.transport = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.reached = append(b.reached, r)
		b.mu.Unlock()
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(b.transport.Close)
	return b
}

func (b *behind) startRegistry() {
	b.t.Helper()
	limiter, err := quota.New(quotamemory.New(), quota.Options{Policies: []quota.Policy{
		{Tenant: "t_globex", Action: "stream_connect", Limit: 2, Window: time.Hour}, {Limit: 1000, Window: time.Hour},
	}})
	require.NoError(b.t, err)
	server, err := api.New(api.Options{
		Verifier: b, Registry: registry.New(b.store),
		Admit: func(w http.ResponseWriter, r *http.Request, tenantID, action string) bool {
			return quotahttp.Admit(limiter, w, r, tenantID, action)
		},
	})
	require.NoError(b.t, err)
	listener, err := net.Listen("tcp", b.registry)
	require.NoError(b.t, err)
	b.registry = listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, listener) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(b.t, <-ended)
	})
	b.t.Cleanup(func() { b.stop() })
}

// configuration is one of deploy/proxies, with the test's addresses.
func (b *behind) configuration(name string) string {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "deploy", "proxies", name))
	require.NoError(b.t, err)
	b.addr = emulatortest.FreeAddress(b.t)
	_, port, _ := net.SplitHostPort(b.addr)
	return strings.NewReplacer(
		"127.0.0.1:8000", b.addr, "http://:8000", "http://:"+port,
		"127.0.0.1:8080", b.registry, "127.0.0.1:8090", b.transport.Listener.Addr().String(),
	).Replace(string(text))
}

// behindNginx needs a build with the module auth_request, such as Debian's nginx-light.
func behindNginx(t *testing.T) *behind {
	b := start(t)
	users := "alice:{PLAIN}pw\nbob:{PLAIN}pw\nmallory:{PLAIN}pw\n"
	emulatortest.Nginx(t, b.configuration("nginx.conf"), b.addr, map[string]string{"users": users})
	return b
}

func behindCaddy(t *testing.T) *behind {
	b := start(t)
	// bcrypt of "pw", at its lowest cost, in base64 as this Caddy wants it.
	const hash = "JDJhJDA0JGFiY2RlZmdoaWprbG1ub3BxcnN0dXV5dlBYSWJ1N3hlNi9DRUQyRHpYOHo2U2kwOU1semxX"
	users := ""
	for _, name := range []string{"alice", "bob", "mallory"} {
		users += name + " " + hash + "\n"
	}
	emulatortest.Caddy(t, b.configuration("Caddyfile"), b.addr, map[string]string{"users": users})
	return b
}

// visit asks the proxy as a user, by a request line and headers as they are, and
// returns the answer with its body.
func (b *behind) visit(user, request string) (answer *http.Response, body string) {
	b.t.Helper()
	c, err := net.Dial("tcp", b.addr)
	require.NoError(b.t, err)
	defer c.Close()
	require.NoError(b.t, c.SetDeadline(time.Now().Add(soon)))
	head, content, _ := strings.Cut(request, "\n\n")
	if user != "" {
		r := &http.Request{Header: http.Header{}}
		r.SetBasicAuth(user, "pw")
		head += "\nAuthorization: " + r.Header.Get("Authorization")
	}
	line, headers, _ := strings.Cut(head, "\n")
	text := fmt.Sprintf("%s HTTP/1.1\nHost: streams.example\nConnection: close\n%s\n\n", line, strings.TrimPrefix(headers, "\n"))
	_, err = io.WriteString(c, strings.ReplaceAll(text, "\n", "\r\n")+content)
	require.NoError(b.t, err)
	answer, err = http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(b.t, err, request)
	bytes, err := io.ReadAll(answer.Body)
	require.NoError(b.t, err, request)
	return answer, string(bytes)
}

// since returns what has reached the transport since it was called last.
func (b *behind) since() []*http.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	reached := b.reached
	b.reached = nil
	return reached
}

// refused requires a refusal that nothing has got past.
func (b *behind) refused(user, request string, status int) *http.Response {
	b.t.Helper()
	answer, body := b.visit(user, request)
	require.Equal(b.t, status, answer.StatusCode, "%s %s: %s", user, request, body)
	require.Empty(b.t, b.since(), "%s %s", user, request)
	return answer
}

// passed requires that the transport was reached, as that tenant.
func (b *behind) passed(user, request, tenant string) (answer *http.Response, body string) {
	b.t.Helper()
	answer, body = b.visit(user, request)
	reached := b.since()
	require.Len(b.t, reached, 1, "%s %s: %s %s", user, request, answer.Status, body)
	for _, name := range []string{"X-Tenant-Id", "X-Authenticated-Tenant"} {
		require.Equal(b.t, []string{tenant}, reached[0].Header.Values(name), "%s %s", user, request)
	}
	return answer, body
}

// closedStream requires a stream that ends at once, with the reason, and returns when
// its client comes back.
func (b *behind) closedStream(user, request, reason string) (retry time.Duration) {
	b.t.Helper()
	answer, body := b.visit(user, request+"\nAccept: text/event-stream")
	require.Equal(b.t, http.StatusOK, answer.StatusCode, body)
	require.Equal(b.t, "text/event-stream", answer.Header.Get("Content-Type"))
	require.Empty(b.t, b.since())
	field, rest, _ := strings.Cut(body, "\n")
	require.Equal(b.t, "event: registry.closed\ndata: "+reason+"\n\n", rest)
	ms, err := strconv.Atoi(strings.TrimPrefix(field, "retry: "))
	require.NoError(b.t, err, body)
	return time.Duration(ms) * time.Millisecond
}

func TestNginxPassesOnWhatTheRegistryAllows(t *testing.T) {
	t.Parallel()
	requirePassesOnly(behindNginx(t))
}

func TestCaddyPassesOnWhatTheRegistryAllows(t *testing.T) {
	t.Parallel()
	requirePassesOnly(behindCaddy(t))
}

// requirePassesOnly is what docs/proxies.md says of every proxy.
func requirePassesOnly(b *behind) {
	t := b.t
	t.Helper()
	const own, globexs = "GET /sse/chat/th_acme", "GET /sse/chat/th_globex"

	// The owner gets the stream, at once; nobody else gets near it.
	answer, body := b.passed("alice", own, "t_acme")
	require.Equal(t, http.StatusOK, answer.StatusCode)
	require.Equal(t, "id: 1\ndata: hello from th_acme\n\n", body)
	b.passed("alice", own+"?since=%2F..%2F", "t_acme")
	b.passed("alice", "GET /sse/chat/th%5Facme", "t_acme")
	b.refused("alice", globexs, 404)
	b.refused("alice", "GET /sse/chat/th_missing", 404)
	b.refused("mallory", own, 400) // of no tenant
	b.refused("", own, 401)

	// A client's own headers change neither who asks, nor for what, nor how.
	for _, own := range []string{"\nX-Tenant-Id: t_globex", "\nx-tenant-id: t_globex\nX-Tenant-Id: t_globex", "\nX-Tenant-Id: t_globex, t_acme",
		"\nX-Authenticated-Tenant: t_globex", "\nX-Original-URI: /sse/chat/th_acme", "\nX-Forwarded-Uri: /sse/chat/th_acme", "\nX-Original-URL: /sse/chat/th_acme"} {
		b.refused("alice", globexs+own, 404)
	}
	foreign := "\nX-Tenant-Id: t_globex\nX-Tenant-Id: t_globex\nX-Authenticated-Tenant: t_globex\nX-Original-URI: /sse/chat/th_globex\nX-Forwarded-Uri: /sse/chat/th_globex" +
		"\nOrigin: https://elsewhere.example\nSec-Fetch-Site: cross-site"
	b.passed("alice", own+foreign, "t_acme")

	// What is checked is what is served.
	for _, path := range []string{
		"/sse/chat/th%2Facme", "/sse/chat/..%2Fchat%2Fth_acme", "/sse/chat/th_globex%2F..%2Fth_acme", "/sse/chat/../chat/th_acme", "/sse/chat/./th_acme",
		"//sse/chat/th_acme", "/sse//chat/th_acme", "/sse/chat/th_acme/", "/sse/chat/%2e%2e/chat/th_acme", "/sse/chat/th%255Facme", "/sse/ch%61t/th_acme",
		"/sse/chat/th_acme%5C", "/SSE/chat/th_acme", "/threads/th_acme/events", "/metrics", "/", "/sse/chat/th_acme;x",
	} {
		b.refused("alice", "GET "+path, 404)
	}
	for _, request := range []string{"GET /_registry", "GET /%5Fregistry", "GET /sse/../_registry"} {
		b.refused("alice", request, 404)
	}

	// Whatever else a request is: asked about all the same.
	b.passed("alice", "POST /sse/chat/th_acme\nContent-Length: 9000\n\n"+strings.Repeat("x", 9000), "t_acme")
	b.refused("alice", "POST /sse/chat/th_globex\nContent-Length: 9000\n\n"+strings.Repeat("x", 9000), 404)
	b.passed("alice", "POST /sse/chat/th_acme\nTransfer-Encoding: chunked\n\n3\r\nabc\r\n0\r\n\r\n", "t_acme")
	const upgrade = "\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nOrigin: https://elsewhere.example"
	b.passed("alice", "GET /ws/chat/th_acme"+upgrade, "t_acme")
	b.refused("alice", "GET /ws/chat/th_globex"+upgrade, 404)

	// The throttle: bob connects twice, and resumes by another action.
	b.passed("bob", globexs, "t_globex")
	b.passed("bob", globexs, "t_globex")
	after, err := strconv.Atoi(b.refused("bob", globexs, 429).Header.Get("Retry-After"))
	require.NoError(t, err)
	require.Greater(t, after, 3500)
	require.Greater(t, b.closedStream("bob", globexs, "throttled"), 3500*time.Second)
	b.passed("bob", globexs+"\nLast-Event-ID: 1", "t_globex")

	// The registry's store, then the registry itself, is away: closed, and open again.
	b.sick.Store(true)
	require.NotEmpty(t, b.refused("alice", own, 503).Header.Get("Retry-After"))
	require.GreaterOrEqual(t, b.closedStream("alice", own, "registry_unavailable"), time.Second)
	b.sick.Store(false)
	b.passed("alice", own, "t_acme")
	b.stop()
	b.refused("alice", own, 503)
	require.GreaterOrEqual(t, b.closedStream("alice", own, "registry_unavailable"), time.Second)
	b.startRegistry()
	require.Eventually(t, func() bool { // nginx leaves a server alone for 10 s that did not answer, if it has another one
		answer, _ := b.visit("alice", own)
		b.since()
		return answer.StatusCode == http.StatusOK
	}, soon, 50*time.Millisecond)
}
