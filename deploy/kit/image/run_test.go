package main

import (
	"archive/tar"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// The image as a container runs it, without an engine: its files as the root, read
// only, and its user. It takes root, or a kernel that lets users have namespaces.
func TestTheImageRunsAsNobodyOnAReadOnlyFileSystem(t *testing.T) {
	t.Parallel() // it mostly waits
	c := newContainer(t)
	project := emulatortest.Both(t)
	events, err := os.ReadFile("../../../docs/examples/events.ndjson")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(c.root, "events.ndjson"), events, 0o644))
	environ := append(project.Environ(), "REGISTRY_API_TOKEN=0123456789abcdef", "PORT=0")

	licences, err := exec.Command("unshare", c.args("version", "--licenses")...).Output()
	require.NoError(t, err)
	kept, err := os.ReadFile(filepath.Join(c.root, "licenses", "third_party.txt"))
	require.NoError(t, err)
	require.Equal(t, string(licences), string(kept))
	provision := c.run(t, environ, "provision")
	require.Zero(t, provision.Wait(time.Minute), provision.Stderr)

	run := c.run(t, environ, "run", "--api", "--shutdown-delay", "0s")
	port := regexp.MustCompile(`\[::\]:(\d+)`).FindStringSubmatch(run.AwaitLine("listening", time.Minute))
	require.NotEmpty(t, port, "PORT is of all addresses")
	url := "http://127.0.0.1:" + port[1]
	require.Eventually(t, func() bool { code, _ := get(url + "/readyz"); return code == http.StatusOK }, time.Minute, 20*time.Millisecond)

	for _, probe := range []string{"/livez", "/readyz/api", "/readyz/worker"} {
		code, _ := get(url + probe)
		require.Equal(t, http.StatusOK, code, probe)
	}
	publish := c.run(t, environ, "publish", "/events.ndjson")
	require.Zero(t, publish.Wait(time.Minute), publish.Stderr)
	for _, name := range autoscaled(t) {
		line := regexp.MustCompile(`(?m)^` + name + `[ {]`)
		require.Eventually(t, func() bool { _, metrics := get(url + "/metrics"); return line.MatchString(metrics) },
			time.Minute, 20*time.Millisecond, name)
	}

	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", run.PID()))
	require.NoError(t, err)
	require.Regexp(t, `(?m)^Uid:\s+65532\s+65532`, string(status))
	require.Regexp(t, `(?m)^Gid:\s+65532\s+65532`, string(status))
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", run.PID()))
	require.NoError(t, err)
	require.Regexp(t, `(?m)^\S+ \S+ \S+ \S+ / ro,`, string(mounts), "its root is read-only")

	run.Signal(syscall.SIGTERM)
	require.Zero(t, run.Wait(time.Minute))
}

// container is an image that was unpacked.
type container struct{ root string }

func newContainer(t *testing.T) container {
	t.Helper()
	emulatortest.Program(t, "unshare")
	if out, err := exec.Command("unshare", append(namespaces(), "true")...).CombinedOutput(); err != nil {
		t.Skipf("no namespaces here: %v: %s", err, out)
	}
	image, err := build(here)
	require.NoError(t, err)
	root := filepath.Join(t.TempDir(), "root")
	require.NoError(t, os.Mkdir(root, 0o755))
	walk(t, image, func(h *tar.Header, r io.Reader) {
		path := filepath.Join(root, h.Name)
		if h.Typeflag == tar.TypeDir {
			require.NoError(t, os.MkdirAll(path, 0o755))
			return
		}
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, content, os.FileMode(h.Mode)))
	})
	return container{root}
}

// run starts the entrypoint. The process that is returned is the program itself:
// each command before it executes the next.
func (c container) run(t *testing.T, environ []string, args ...string) *emulatortest.Process {
	t.Helper()
	return emulatortest.Run(t, environ, "unshare", c.args(args...)...)
}

// args are those of unshare, to run the entrypoint with these.
func (c container) args(args ...string) []string {
	const enter = `mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && cd "$0" && exec chroot --userspec=65532:65532 . ` + entrypoint + ` "$@"`
	return append(append(namespaces(), "sh", "-c", enter, c.root), args...)
}

func namespaces() []string {
	if os.Getuid() == 0 {
		return []string{"--mount"}
	}
	return []string{"--user", "--map-root-user", "--map-auto", "--mount"}
}

func get(url string) (code int, body string) {
	r, err := http.Get(url)
	if err != nil {
		return 0, ""
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(b)
}

// autoscaled are the metrics that the workers' autoscaler asks Prometheus for.
func autoscaled(t *testing.T) []string {
	t.Helper()
	rule, err := os.ReadFile("../../kubernetes/components/autoscale-on-lag/prometheus-adapter.yaml")
	require.NoError(t, err)
	names := regexp.MustCompile(`registry_\w+_(?:sum|count)\b`).FindAllString(string(rule), -1)
	require.NotEmpty(t, names)
	return names
}
