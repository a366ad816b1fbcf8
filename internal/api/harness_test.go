package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// served is a server on a loopback port, over a registry in memory that can be
// taken down.
type served struct {
	addr   string
	server *api.Server
	store  *memregistry.Store
	down   atomic.Bool // every check and claim is ErrUnavailable
	enter  chan string // if set, each check says its tenant and waits
	leave  chan struct{}
	stop   func() // has it drain

	*registry.Registry
	verifier *verifier.Verifier
}

func (s *served) Verify(ctx context.Context, tenantID string, resource registry.Resource) error {
	if s.enter != nil {
		s.enter <- tenantID
		<-s.leave
	}
	if resource.ID == "panics" {
		panic("a defect")
	}
	if s.down.Load() {
		return fmt.Errorf("verify: %w: connection refused by 10.0.0.7", registry.ErrUnavailable)
	}
	return s.verifier.Verify(ctx, tenantID, resource)
}

func (s *served) VerifyCached(tenantID string, resource registry.Resource) bool {
	return s.enter == nil && !s.down.Load() && s.verifier.VerifyCached(tenantID, resource)
}

func (s *served) Owned(ctx context.Context, tenantID string, resources []registry.Resource) ([]bool, error) {
	if s.down.Load() {
		return nil, fmt.Errorf("read: %w: connection refused by 10.0.0.7", registry.ErrUnavailable)
	}
	return s.verifier.Owned(ctx, tenantID, resources)
}

func (s *served) WatchAll(ctx context.Context, all []verifier.Ownership) (*verifier.Watcher, []int, error) {
	if s.down.Load() {
		return nil, nil, fmt.Errorf("watch: %w: connection refused by 10.0.0.7", registry.ErrUnavailable)
	}
	return s.verifier.WatchAll(ctx, all)
}

func (s *served) MaxStaleness() time.Duration { return s.verifier.MaxStaleness() }

func (s *served) Claim(ctx context.Context, tenantID string, resource registry.Resource, options ...registry.ClaimOption) (bool, error) {
	if s.down.Load() {
		return false, fmt.Errorf("claim: %w: connection refused by 10.0.0.7", registry.ErrUnavailable)
	}
	return s.Registry.Claim(ctx, tenantID, resource, options...)
}

// serve starts a server that drains when the test ends. Options without a
// version get everything that a command would give.
func serve(t *testing.T, o api.Options) *served {
	t.Helper()
	return serveOver(t, o, verifier.Options{})
}

// serveOver is serve with a verifier that is not the plainest.
func serveOver(t *testing.T, o api.Options, over verifier.Options) *served {
	t.Helper()
	store := memregistry.New()
	v, err := verifier.New(store, over)
	require.NoError(t, err)
	t.Cleanup(v.Close)
	s := &served{store: store, Registry: registry.New(store), verifier: v}
	o.Verifier, o.Registry = s, s
	if o.Version == nil {
		o.Version = map[string]string{"version": "v1.2.3"}
	}
	o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "up 1") })
	s.start(t, o)
	return s
}

func (s *served) start(t *testing.T, o api.Options) {
	t.Helper()
	server, err := api.New(o)
	require.NoError(t, err)
	listener, err := api.ListenConfig().Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.addr, s.server = listener.Addr().String(), server
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	s.stop = stop
	go func() { ended <- server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
}

// answer is an answer with its body.
type answer struct {
	*http.Response
	body string
}

// ask sends a request line and headers as they are, which no client library
// would do with the bad ones, and reads the answer. Header lines are separated
// by newlines; a body follows an empty line.
func (s *served) ask(t *testing.T, request string) answer {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	head, body, _ := strings.Cut(request, "\n\n")
	line, headers, _ := strings.Cut(head, "\n")
	if headers != "" {
		headers = strings.ReplaceAll(headers, "\n", "\r\n") + "\r\n"
	}
	go func() { // the server may answer, and close, before it has read all
		_, _ = io.WriteString(conn, line+" HTTP/1.1\r\nHost: localhost\r\n"+headers+"\r\n"+body)
	}()
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: strings.Fields(line)[0]})
	require.NoError(t, err, "%.200s", request)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err, "%.200s", request)
	return answer{response, string(text)}
}
