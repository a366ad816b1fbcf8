package examples

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// withFastAPI returns a Python that has FastAPI and uvicorn: that of PATH, or the
// system's, for which Debian has packages.
func withFastAPI(t *testing.T) string {
	t.Helper()
	var err error
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		var out []byte
		if out, err = exec.Command(python, "-c", "import fastapi, uvicorn, websockets").CombinedOutput(); err == nil {
			return python
		}
		t.Logf("%s: %s", python, out)
	}
	t.Log("apt-get install python3-fastapi python3-uvicorn python3-websockets")
	emulatortest.NotInstalled(t, err)
	return ""
}

// app runs fastapi_app.py and returns its URL.
func app(t *testing.T, env ...string) string {
	t.Helper()
	p := emulatortest.Run(t, append(env, "PYTHONDONTWRITEBYTECODE=1"), withFastAPI(t),
		"-m", "uvicorn", "--app-dir", "python", "--port", "0", "fastapi_app:app")
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
	withFastAPI(t)
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
	require.True(t, strings.HasSuffix(string(rest), "event: registry.closed\ndata: ownership_lost\n\n"), "%s", rest)
	frames, _ := io.ReadAll(socket.Body)
	require.Contains(t, string(frames), "\x88\x10\x11\x34ownership_lost", "4404")
}

// A registry that accepts and does not answer.
func TestARegistryThatHangsHoldsUpNothingElseInFastAPI(t *testing.T) {
	t.Parallel()
	const threads, connects = 20, 60
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	accepted := make(chan net.Conn, connects)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	url := app(t, "REGISTRY_URL=http://"+listener.Addr().String())
	var answered, refused atomic.Int32
	var all sync.WaitGroup
	for range connects {
		all.Go(func() {
			if visit(t, url+"/threads/th_1/events", "t_acme").StatusCode == http.StatusServiceUnavailable {
				refused.Add(1)
			}
			answered.Add(1)
		})
	}
	for range threads {
		c := <-accepted
		defer c.Close()
	}
	require.Eventually(t, func() bool { return answered.Load() >= connects-threads }, soon, time.Millisecond, "those without a thread are refused at once")
	require.Empty(t, accepted, "no more than those wait for the registry")
	require.Equal(t, http.StatusOK, visit(t, url+"/elsewhere", "").StatusCode)
	require.EqualValues(t, connects-threads, answered.Load(), "and that was while the registry hung")
	all.Wait()
	require.EqualValues(t, connects, refused.Load())
}
