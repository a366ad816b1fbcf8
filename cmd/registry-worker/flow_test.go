package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/consumer"
)

// program is the program with a test's own project in the emulators.
type program struct {
	t       *testing.T
	project emulatortest.Project
	env     []string // besides the project's
	binary  string   // empty: what is tested
}

func onEmulators(t *testing.T) program { return program{t: t, project: emulatortest.Both(t)} }

func (c program) start(args ...string) *emulatortest.Process {
	c.t.Helper()
	binary := c.binary
	if binary == "" {
		binary = emulatortest.Binary(c.t)
	}
	env := append(c.project.Environ(), "REGISTRY_SHUTDOWN_DELAY=0s") // nobody has to notice
	if args[0] == "run" {
		// As many as in production: the rules make up for what the emulator is slower by,
		// which has a thread for each that wakes up every few milliseconds.
		env = append(env, "REGISTRY_STREAMS="+strconv.Itoa(consumer.ServiceStreams))
	}
	return emulatortest.Run(c.t, append(env, c.env...), binary, args...)
}

// run runs a command to its end, and requires the exit code.
func (c program) run(code int, args ...string) *emulatortest.Process {
	c.t.Helper()
	p := c.start(args...)
	require.Equal(c.t, code, p.Wait(time.Minute), "%s\n%s", args, p.Stderr)
	return p
}

// patient runs a command that may take long, and returns what it prints.
func (c program) patient(args ...string) string {
	c.t.Helper()
	p := c.start(args...)
	require.Equal(c.t, exitDone, p.Wait(5*time.Minute), "%s", p.Stderr)
	return p.Stdout.String()
}

// service starts a command that serves, and returns its base URL once it is
// ready.
func (c program) service(args ...string) (p *emulatortest.Process, url string) {
	c.t.Helper()
	p = c.start(append(args, "--listen", "127.0.0.1:0", "--log-format", "json", "--log-level", "info")...)
	line := p.AwaitLine(`"msg":"listening"`, 30*time.Second)
	url = addressIn(line)
	require.Eventually(c.t, func() bool { return get(c.t, url+"/readyz", "") == http.StatusOK }, 30*time.Second, 20*time.Millisecond)
	return p, url
}

// addressIn returns the base URL of a line of the log that says where it listens.
func addressIn(line string) string {
	_, rest, _ := strings.Cut(line, `"address":"`)
	address, _, _ := strings.Cut(rest, `"`)
	return "http://" + address
}

// get returns the status of a GET by a tenant.
func get(t *testing.T, url, tenant string) int { return do(t, http.MethodGet, url, tenant) }

func do(t *testing.T, method, url, tenant string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	if tenant != "" {
		request.Header.Set("X-Tenant-Id", tenant)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// write makes a file of lines.
func write(t *testing.T, lines ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "events.ndjson")
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600))
	return file
}

// event is a line of an archive.
func event(id, typ, at, data string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"//test","type":%q,"time":%q,"data":%s}`, id, typ, at, data)
}

func created(id, at, tenant, thread string) string {
	return event(id, "nexus.thread.created.v1", at, fmt.Sprintf(`{"tenant_id":%q,"thread_id":%q}`, tenant, thread))
}

func TestFromAnEventToAnAnswer(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	require.Contains(t, c.run(exitDone, "provision", "--dry-run").Stdout.String(), "create topic nexus-thread-created")
	require.Contains(t, c.run(exitDone, "provision").Stdout.String(), "create topic nexus-thread-created", "the dry run has created nothing")
	require.NotRegexp(t, "(?m)^(create|update) ", c.run(exitDone, "provision").Stdout.String(), "repeating it changes nothing")
	require.NotRegexp(t, "(?m)^(create|update) ", c.run(exitDone, "provision", "--dry-run").Stdout.String(), "nor would it, also of what an emulator does not keep")

	published := c.run(exitDone, "publish", write(t,
		created("1", "2024-01-01T00:00:00Z", "t_ada", "th_1"),
		created("2", "2024-01-01T00:00:01Z", "t_ada", "th_2"),
		event("3", "nexus.canvas.created.v1", "2024-01-01T00:00:02Z", `{"tenant_id":"t_bob","canvas_id":"ca_1"}`),
		event("4", "nexus.tenant.moved.v1", "2024-01-01T00:00:03Z",
			`{"from_tenant_id":"t_ada","to_tenant_id":"t_bob","resources":[{"kind":"thread","id":"th_2"}]}`),
	))
	require.Contains(t, published.Stderr.String(), "4 events published")

	worker, url := c.service("run", "--api")
	check := func(kind, id, tenant string) func() bool {
		return func() bool { return get(t, url+"/v1/"+kind+"/"+id+"/access", tenant) == http.StatusNoContent }
	}
	for _, yes := range []func() bool{check("threads", "th_1", "t_ada"), check("threads", "th_2", "t_bob"), check("canvases", "ca_1", "t_bob")} {
		require.Eventually(t, yes, 30*time.Second, 20*time.Millisecond)
	}
	require.Equal(t, http.StatusNotFound, get(t, url+"/v1/threads/th_1/access", "t_bob"), "foreign")
	require.Equal(t, http.StatusNotFound, get(t, url+"/v1/threads/th_2/access", "t_ada"), "moved away")
	require.Equal(t, http.StatusNotFound, get(t, url+"/v1/threads/th_9/access", "t_ada"), "unregistered")
	require.Equal(t, http.StatusCreated, do(t, http.MethodPut, url+"/v1/threads/th_3", "t_ada"))
	require.Equal(t, http.StatusConflict, do(t, http.MethodPut, url+"/v1/threads/th_3", "t_bob"))
	for _, health := range []string{"/livez", "/readyz", "/metrics", "/version", "/v1/openapi.json"} {
		require.Equal(t, http.StatusOK, get(t, url+health, ""), health)
	}
	worker.Signal(syscall.SIGTERM)
	require.Equal(t, exitDone, worker.Wait(30*time.Second))

	export := c.run(exitDone, "export")
	require.Equal(t, `{"kind":"canvas","id":"ca_1","tenant_id":"t_bob"}
{"kind":"thread","id":"th_1","tenant_id":"t_ada"}
{"kind":"thread","id":"th_2","tenant_id":"t_bob"}
{"kind":"thread","id":"th_3","tenant_id":"t_ada"}
`, export.Stdout.String())
	require.Empty(t, c.run(exitDone, "export", "--check").Stdout.String())

	reader, url := c.service("serve")
	require.Equal(t, http.StatusNoContent, get(t, url+"/v1/threads/th_1/access", "t_ada"), "another process sees the same")
	reader.Signal(syscall.SIGINT)
	require.Equal(t, exitDone, reader.Wait(30*time.Second))
}

func TestPublishNamesEveryRefusedLineAndPublishesTheOthers(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.run(exitDone, "provision")
	now := time.Now().UTC().Format(time.RFC3339)
	moved := func(resources string) string {
		return event("m", "nexus.tenant.moved.v1", now, `{"from_tenant_id":"t_ada","to_tenant_id":"t_bob","resources":`+resources+`}`)
	}
	file := write(t,
		created("1", now, "t_ada", "th_1"),
		`not json`,
		created("2", "9999-12-31T23:59:59Z", "t_ada", "th_2"),
		"", // blank lines are none
		moved("null"),
		moved("[]"),
		event("3", "nexus.thread.archived.v1", now, `{}`),
		created("4", now, "Ada", "th_4"),
		created("5", now, "t_ada", "../th_5"),
		"\xff\xfe{}",
		`{"specversion":"1.0","pad":"`+strings.Repeat("x", 11<<20)+`"}`,
		event("6", "registry.asserted.v1", now, `{"tenant_id":"t_ada","resource":{"kind":"thread","id":"th_6"}}`),
		created("7", now, "t_bob", "th_7"),
	)
	p := c.run(exitFault, "publish", file)
	var refused []string
	for _, line := range p.Stderr.Lines() {
		if place, what, ok := strings.Cut(strings.TrimPrefix(line, file+":"), ": "); ok && strings.HasPrefix(line, file) {
			reason, detail, _ := strings.Cut(what, ": ")
			refused = append(refused, place+" "+reason)
			require.NotEmpty(t, detail)
			require.Less(t, len(line), 1000)
		}
	}
	require.Equal(t, []string{
		"2 malformed", "3 from_future", "5 schema", "6 schema", "7 unknown_type", "8 schema", "9 schema",
		"10 malformed", "11 too_large", "12 unknown_type",
	}, refused)
	require.Contains(t, p.Stderr.String(), "2 events published")
	require.Contains(t, p.Stderr.String(), "refused lines: 10, see above")
}

func TestPublishReadsStandardInputAndSeveralFiles(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.run(exitDone, "provision")
	one := write(t, created("1", "2024-01-01T00:00:00Z", "t_ada", "th_1"))
	two := write(t, created("2", "2024-01-01T00:00:00Z", "t_ada", "th_2"))
	require.Contains(t, c.run(exitDone, "publish", one, two, "-").Stderr.String(), "2 events published", "standard input is empty here")
}

func TestPublishWantsItsFiles(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.ndjson")
	r := call(t, nil, "publish", "--project", "some-project", missing, t.TempDir())
	require.Equal(t, exitFault, r.code)
	require.Contains(t, r.stderr, missing)
	require.Contains(t, r.stderr, "is a directory")
}

func TestWhatOnlyAWorkerRefusesIsADeadLetter(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.run(exitDone, "provision")
	const same = "2024-01-01T00:00:00Z"
	c.run(exitDone, "publish", write(t,
		created("1", same, "t_ada", "th_1"),
		created("1", same, "t_bob", "th_1"), // the same event with other content
		created("2", "2024-01-02T00:00:00Z", "t_eve", "th_1"),
	))
	worker, url := c.service("run")
	require.Eventually(t, func() bool { return sum(t, url, "registry_events_total") == 3 }, 30*time.Second, 50*time.Millisecond)
	// t_eve's, and of the two the one that came second if it was t_bob's.
	require.Contains(t, []string{"1", "2"}, scrape(t, url, `registry_dead_letters_total{reason="conflict"}`))
	worker.Signal(syscall.SIGTERM)
	require.Equal(t, exitDone, worker.Wait(30*time.Second))
	require.Equal(t, `{"kind":"thread","id":"th_1","tenant_id":"t_ada"}`+"\n", c.run(exitDone, "export").Stdout.String())
}
