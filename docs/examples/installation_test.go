package examples

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

const soon = time.Minute

// nobody listens there.
const nowhere = "127.0.0.1:1"

// pythonPath lets Python find the package if it is not installed.
var pythonPath = []string{"PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH=" + func() string {
	path, err := filepath.Abs("../../clients/python/src")
	if err != nil {
		panic(err)
	}
	return path
}()}

// installation is a registry that runs.
type installation struct {
	t        *testing.T
	project  emulatortest.Project
	registry *emulatortest.Process
	url      string
	env      []string
}

func install(t *testing.T) installation {
	t.Helper()
	project := emulatortest.Both(t)
	i := installation{t: t, project: project, env: append(project.Environ(), pythonPath...)}
	i.worker("provision")
	i.registry = emulatortest.Run(t, i.env, emulatortest.Binary(t), "run", "--api", "--listen", "127.0.0.1:0", "--streams", "1", "--log-format", "json")
	var line struct{ Address string }
	require.NoError(t, json.Unmarshal([]byte(i.registry.AwaitLine(`"listening"`, soon)), &line))
	i.url = "http://" + line.Address
	i.env = append(i.env, "REGISTRY_URL="+i.url)
	return i
}

// worker runs a command of registry-worker to its good end.
func (i installation) worker(args ...string) (stdout string) {
	i.t.Helper()
	return i.done(emulatortest.Run(i.t, i.env, emulatortest.Binary(i.t), args...))
}

func (i installation) done(p *emulatortest.Process) (stdout string) {
	i.t.Helper()
	require.Equal(i.t, 0, p.Wait(soon), "%s%s", p.Stdout, p.Stderr)
	return p.Stdout.String()
}

// python runs an example, with standard input from a file; env wins.
func (i installation) python(env []string, stdin, program string, args ...string) *emulatortest.Process {
	i.t.Helper()
	python := emulatortest.Python(i.t, "httpx")
	script := `program=$1; stdin=$2; shift 2; exec "$program" "$@" <"$stdin"`
	args = append([]string{"-c", script, "sh", python, stdin, filepath.Join("python", program)}, args...)
	return emulatortest.Run(i.t, append(i.env, env...), "sh", args...)
}

// ask returns the status of an answer of the API.
func (i installation) ask(method, tenant, path string) int {
	i.t.Helper()
	r, err := http.NewRequestWithContext(i.t.Context(), method, i.url+path, nil)
	require.NoError(i.t, err)
	r.Header.Set("X-Tenant-Id", tenant)
	answer, err := http.DefaultClient.Do(r)
	require.NoError(i.t, err)
	require.NoError(i.t, answer.Body.Close())
	return answer.StatusCode
}

func (i installation) status(tenant, thread string) int {
	i.t.Helper()
	return i.ask(http.MethodGet, tenant, "/v1/threads/"+thread+"/access")
}

// awaitEvent waits until the registry has taken account of an event.
func (i installation) awaitEvent(id string) {
	i.t.Helper()
	require.Eventually(i.t, func() bool {
		return strings.Contains(i.worker("export", "--events"), `"id":"`+id+`"`)
	}, soon, 300*time.Millisecond) // each look is a process
}

// settled is how many events of created threads the worker has settled: one that
// follows its claim leaves no other trace.
func (i installation) settled() (n int) {
	i.t.Helper()
	answer, err := http.Get(i.url + "/metrics")
	require.NoError(i.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(i.t, err)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "registry_events_total{") && strings.Contains(line, "nexus.thread.created.v1") {
			fields := strings.Fields(line)
			count, err := strconv.Atoi(fields[len(fields)-1])
			require.NoError(i.t, err, line)
			n += count
		}
	}
	return n
}

func (i installation) awaitSettled(n int) {
	i.t.Helper()
	require.Eventually(i.t, func() bool { return i.settled() >= n }, soon, 50*time.Millisecond)
}
