package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// lines is a log that may be read while it is written to.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func TestTokensInAFileAreFollowed(t *testing.T) {
	t.Parallel()
	const first, second = "first-token-of-tests", "second-token-of-tests"
	file := filepath.Join(t.TempDir(), "token")
	put := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	put(first + "\n")
	var log lines
	s := &service{in: &invocation{Config: &config.Config{APITokenFile: file}, Logger: slog.New(slog.NewTextHandler(&log, nil))}}
	read, err := readTokens(s.in.Config)
	require.NoError(t, err)
	store := memregistry.New()
	v, err := verifier.New(store, verifier.Options{})
	require.NoError(t, err)
	t.Cleanup(v.Close)
	server, err := api.New(api.Options{Verifier: v, Registry: registry.New(store), Tokens: read.api})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() { s.followTokens(ctx, server, read, time.Millisecond) })
	defer following.Wait()
	defer stop()
	admitted := func(token string) bool {
		r := httptest.NewRequest(http.MethodGet, "/v1/threads/th_1/access", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("X-Tenant-Id", "t_ann")
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		return w.Code != http.StatusUnauthorized
	}
	require.True(t, admitted(first))

	put(first + "\r\n" + second + "\n")
	require.Eventually(t, func() bool { return admitted(second) }, 10*time.Second, time.Millisecond)
	require.True(t, admitted(first))

	for _, wrong := range []string{"short", second + " " + second, strings.Repeat(second+"\n", 3)} {
		before := log.count("the previous ones stay") // each fault is told once
		put(wrong)
		require.Eventually(t, func() bool { return log.count("the previous ones stay") > before }, 10*time.Second, time.Millisecond, "%q", wrong)
		require.True(t, admitted(second), "%q", wrong)
	}

	put(second)
	require.Eventually(t, func() bool { return !admitted(first) }, 10*time.Second, time.Millisecond)
	require.True(t, admitted(second))
	require.Zero(t, log.count(first)+log.count(second), "tokens stay out of the log")
}

func TestATokenFileThatIsWrongIsNamedAtTheStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("short"), 0o600))
	require.NoError(t, syscall.Mkfifo(file+"-fifo", 0o600))
	for _, path := range []string{file, file + "-missing", file + "-fifo", filepath.Dir(file)} {
		for _, command := range []string{"serve", "config"} {
			r := call(t, map[string]string{"GOOGLE_CLOUD_PROJECT": "test", "FIRESTORE_EMULATOR_HOST": "127.0.0.1:1"}, command, "--api-token-file", path)
			require.Equal(t, exitUsage, r.code, r.stderr)
			require.Contains(t, r.stderr, "--api-token-file")
			require.Contains(t, r.stderr, path)
		}
	}
}

func TestMetricsHaveAnAddressOfTheirOwn(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	p := c.start("serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--log-format", "json", "--log-level", "info")
	api := addressIn(p.AwaitLine(`"api":true`, 30*time.Second))
	monitored := addressIn(p.AwaitLine(`"api":false`, 30*time.Second))
	require.Equal(t, http.StatusOK, get(t, monitored+"/metrics", ""))
	require.Equal(t, http.StatusOK, get(t, monitored+"/readyz", ""))
	require.Equal(t, http.StatusOK, get(t, monitored+"/readyz/api", ""))
	require.Equal(t, http.StatusNotFound, get(t, monitored+"/v1/threads/th_1/access", "t_ann"))
	elsewhere, err := http.Get(api + "/metrics")
	require.NoError(t, err)
	defer elsewhere.Body.Close()
	detail, err := io.ReadAll(elsewhere.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, elsewhere.StatusCode)
	require.Contains(t, string(detail), "metrics are at "+strings.TrimPrefix(monitored, "http://"))
	require.Equal(t, http.StatusOK, get(t, api+"/livez", ""))
	p.Signal(syscall.SIGTERM)
	require.Equal(t, exitDone, p.Wait(30*time.Second))
	lines := p.Stderr.Lines()
	require.Regexp(t, `"msg":"ended","cause":"signal: terminated","after":`, lines[len(lines)-1])
}

func TestConnectionsLeaveFilesForTheStores(t *testing.T) {
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	most, warning := connections(1)
	require.Equal(t, 1, most)
	require.Empty(t, warning)
	most, warning = connections(int(limit.Cur))
	require.Less(t, most, int(limit.Cur))
	require.Positive(t, most)
	require.Contains(t, warning, "--max-connections")
	require.Less(t, monitoring(api.Options{MaxConnections: most}).MaxConnections, others, "those of --metrics-listen are among the others")
}
