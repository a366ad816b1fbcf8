package examples

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// app runs fastapi_app.py and returns its URL.
func app(t *testing.T, env ...string) string {
	t.Helper()
	python := emulatortest.Python(t, "httpx, fastapi, uvicorn, websockets")
	p := emulatortest.Run(t, append(env, pythonPath...), python, "-m", "uvicorn", "--app-dir", "python", "--port", "0", "fastapi_app:app")
	line := p.AwaitLine("Uvicorn running on ", soon)
	_, url, _ := strings.Cut(line, "Uvicorn running on ")
	url, _, _ = strings.Cut(url, " ")
	return url
}

// visit asks the app for a path, as a tenant.
func visit(t *testing.T, url, tenant string, headers ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	if tenant != "" {
		r.Header.Add("X-Authenticated-Tenant", tenant)
	}
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

var handshake = []string{
	"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==",
}

func TestFastAPILetsInTheOwnerAndEndsWhatItLoses(t *testing.T) {
	t.Parallel()
	i := install(t)
	i.done(i.python([]string{"DATABASE=" + filepath.Join(t.TempDir(), "db")}, "/dev/null", "publisher.py", "t_acme", "th_1"))
	url := app(t, i.env...)

	for _, c := range []struct {
		tenant, thread string
		status         int
	}{{"t_globex", "th_1", 404}, {"t_acme", "th_2", 404}, {"", "th_1", 400}, {"T", "th_1", 400}, {"t_acme", "_x", 400}} {
		require.Equal(t, c.status, visit(t, url+"/threads/"+c.thread+"/events", c.tenant).StatusCode, "%+v", c)
		require.Equal(t, http.StatusForbidden, visit(t, url+"/threads/"+c.thread+"/socket", c.tenant, handshake...).StatusCode, "%+v", c)
	}
	require.Equal(t, 400, visit(t, url+"/threads/th_1/events", "t_acme", "X-Authenticated-Tenant", "t_globex").StatusCode)

	stream := visit(t, url+"/threads/th_1/events", "t_acme")
	require.Equal(t, http.StatusOK, stream.StatusCode)
	socket := visit(t, url+"/threads/th_1/socket", "t_acme", handshake...)
	require.Equal(t, http.StatusSwitchingProtocols, socket.StatusCode)
	first, err := bufio.NewReader(stream.Body).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "id: 1\n", first)

	moved := event("gone", "tenant.moved", time.Now().UTC().Format(time.RFC3339Nano), `{"from_tenant_id":"t_acme","to_tenant_id":"t_globex"}`)
	i.worker("publish", write(t, moved))
	rest, err := io.ReadAll(stream.Body)
	require.NoError(t, err)
	require.Regexp(t, `(^|\n\n)retry: \d+\nevent: registry.closed\ndata: ownership_lost\n\n$`, string(rest))
	frames, _ := io.ReadAll(socket.Body)
	require.Contains(t, string(frames), "\x88\x10\x11\x34ownership_lost", "4404")
}

// A registry that is stopped where it stands: 200 connects get a clear error in time,
// and hold up nothing else. What is open goes on for its patience, and no longer. When
// the registry goes on, so does all that comes.
func TestARegistryThatHangsHoldsUpNothingElseInFastAPI(t *testing.T) {
	t.Parallel()
	const connects = 200
	i := install(t)
	i.done(i.python([]string{"DATABASE=" + filepath.Join(t.TempDir(), "db")}, "/dev/null", "publisher.py", "t_acme", "th_1"))
	url := app(t, i.env...)
	stream := url + "/threads/th_1/events"
	open := visit(t, stream, "t_acme")
	require.Equal(t, http.StatusOK, open.StatusCode)
	require.Equal(t, http.StatusNotFound, visit(t, stream, "t_globex").StatusCode)

	i.registry.Signal(syscall.SIGSTOP)
	stopped := time.Now()
	var all sync.WaitGroup
	var answered atomic.Int32
	statuses := make([]int, connects)
	for n := range connects {
		all.Go(func() {
			statuses[n] = visit(t, stream, "t_globex").StatusCode
			answered.Add(1)
		})
	}
	require.Equal(t, http.StatusOK, visit(t, url+"/elsewhere", "").StatusCode)
	require.Less(t, int(answered.Load()), connects, "that was while they waited")
	all.Wait()
	t.Logf("%d connects were answered within %v", connects, time.Since(stopped))
	require.Equal(t, slices.Repeat([]int{http.StatusServiceUnavailable}, connects), statuses)
	browser := visit(t, stream, "t_acme", "Accept", "text/event-stream")
	require.Equal(t, http.StatusOK, browser.StatusCode)
	said, err := io.ReadAll(browser.Body)
	require.NoError(t, err)
	require.Regexp(t, `^retry: \d+\nevent: registry.closed\ndata: registry_unavailable\n\n$`, string(said))

	rest, err := io.ReadAll(open.Body)
	require.NoError(t, err)
	require.Regexp(t, `\n\nretry: \d+\nevent: registry.closed\ndata: registry_unavailable\n\n$`, string(rest))
	t.Logf("the open stream ended after %v", time.Since(stopped))
	i.registry.Signal(syscall.SIGCONT)
	require.Eventually(t, func() bool { return visit(t, stream, "t_acme").StatusCode == http.StatusOK }, soon, 100*time.Millisecond)
	require.Equal(t, http.StatusNotFound, visit(t, stream, "t_globex").StatusCode)
}

// A server that is no registry lets nobody in, and its 404 is none.
func TestAWrongServerIsNoRegistryToFastAPI(t *testing.T) {
	t.Parallel()
	for _, code := range []int{http.StatusNoContent, http.StatusNotFound, http.StatusOK} {
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
		defer other.Close()
		require.Equal(t, http.StatusServiceUnavailable, visit(t, app(t, "REGISTRY_URL="+other.URL)+"/threads/th_1/events", "t_acme").StatusCode, "%d", code)
	}
}
