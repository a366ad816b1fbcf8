package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// printed runs the program with these files for its outputs.
func printed(t *testing.T, env []string, stdout, stderr *os.File, args ...string) int {
	t.Helper()
	cmd := exec.Command(emulatortest.Binary(t), args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	_ = cmd.Run()
	return cmd.ProcessState.ExitCode()
}

// printing are calls of all commands that end by themselves, by name; FILE is an
// archive, OWNERS what is exported of it, DIR a directory. A new command must say how it is called.
var printing = map[string][]string{
	"":                     {"help", "help run", "--version", "moves --help"},
	"provision":            {"", "--dry-run"},
	"publish":              {"FILE"},
	"replay":               {"--yes FILE", "--dry-run FILE", "--yes --refused - FILE", "--yes --since 1h"},
	"doctor":               {"", "--json"},
	"check":                {"t_a thread th_1", "t_a thread th_1 --json"},
	"inspect":              {"thread th_1", "thread th_1 --json", "--at 1h thread th_1"},
	"export":               {"", "--check", "--events"},
	"moves list":           {"", "--json", "--tenant t_c --state pending"},
	"moves plan":           {"--from t_a --to t_b", "--from t_a --to t_b --json"},
	"moves retract":        {"--yes m", "--yes --json m"},
	"moves resume":         {"m", "m --json"},
	"moves start":          {"--yes --unknown --from t_c --to t_d --id started", "--yes --unknown --from t_e --to t_f --json"},
	"moves verify":         {"n --from t_g --to t_h", "n --from t_g --to t_h --json"},
	"dead-letters list":    {"", "--json"},
	"dead-letters count":   {"", "--json"},
	"dead-letters redrive": {"--yes", "--dry-run", "--yes --json"},
	"dead-letters purge":   {"--yes", "--dry-run"},
	"dead-letters history": {"", "--json"},
	"quota show":           {"t_a x", "t_a x --json"},
	"quota reset":          {"--yes t_a x"},
	"upgrade":              {"--yes --rate unlimited", "--yes --finish"},
	"recover":              {"--yes", "--yes --json"},
	"tenants erase":        {"--yes --unknown t_gone", "--yes --unknown --json t_gone_too"},
	"config":               {""},
	"capacity":             {"", "--resources 300e6"},
	"verify":               {"--before 2020-01-01T00:00:00Z FILE", "--json --before 2020-01-01T00:00:00Z FILE"},
	"verify-history":       {"FILE OWNERS", "--json FILE OWNERS"},
	"version":              {"", "--licenses"},
	"man":                  {"DIR"},
}

// writing are the commands that change what others say.
var writing = []string{
	"provision", "publish", "replay", "moves retract", "moves resume", "moves start", "dead-letters redrive", "dead-letters purge",
	"quota reset", "upgrade", "recover", "tenants erase",
}

// lost is an output that takes nothing.
type lost struct {
	name string
	open func(t *testing.T) *os.File
	says string // why, if there is anybody who does not know
}

var losses = []lost{
	{"a full disk", func(t *testing.T) *os.File {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		require.NoError(t, err)
		return full
	}, "no space left on device"},
	{"a pipe that was closed", func(t *testing.T) *os.File {
		r, closed, err := os.Pipe()
		require.NoError(t, err)
		r.Close()
		return closed
	}, ""},
}

func TestNoCommandTellsOfSuccessWhereItsOutputIsLost(t *testing.T) {
	t.Parallel() // it mostly waits
	c := onEmulators(t)
	c.run(exitDone, "provision")
	c.replay(created("1", "2024-01-01T00:00:00Z", "t_a", "th_1"), tenantMoved("m", "2024-01-02T00:00:00Z", "t_c", "t_d"),
		created("3", "2024-01-01T00:00:00Z", "t_g", "th_3"),
		event("n", "nexus.tenant.moved.v1", "2024-01-02T00:00:00Z", `{"from_tenant_id":"t_g","to_tenant_id":"t_h","resources":[{"kind":"thread","id":"th_3"}]}`))
	archive := write(t, created("2", "2024-01-01T00:00:00Z", "t_a", "th_2"))
	owners := write(t, `{"kind":"thread","id":"th_2","tenant_id":"t_a"}`)
	for _, name := range leaves(commands()) {
		if name != "run" && name != "serve" && name != "dev" {
			require.NotEmpty(t, printing[name], "%s: how is it called?", name)
		}
	}
	for _, name := range writing {
		require.Contains(t, printing, name)
	}
	group := func(writes bool) func(t *testing.T) {
		return func(t *testing.T) {
			for name, calls := range printing {
				if slices.Contains(writing, name) != writes {
					continue
				}
				for _, call := range calls {
					line := strings.TrimSpace(name + " " + call)
					t.Run(line, func(t *testing.T) {
						t.Parallel()
						c.requireOutputsMatter(t, strings.Fields(strings.NewReplacer("FILE", archive, "OWNERS", owners, "DIR", t.TempDir()).Replace(line)))
					})
				}
			}
		}
	}
	t.Run("reading", group(false)) // each says the same, however often it runs
	t.Run("writing", group(true))
}

// requireOutputsMatter runs a command with each of its outputs lost, and both.
func (c program) requireOutputsMatter(t *testing.T, args []string) {
	t.Helper()
	file := func() (*os.File, func() string) {
		f, err := os.CreateTemp(t.TempDir(), "output")
		require.NoError(t, err)
		t.Cleanup(func() { f.Close() })
		return f, func() string {
			text, err := os.ReadFile(f.Name())
			require.NoError(t, err)
			return string(text)
		}
	}
	run := func(stdout, stderr *os.File) int { return printed(t, c.project.Environ(), stdout, stderr, args...) }
	stdout, answer := file()
	stderr, told := file()
	require.Equal(t, exitDone, run(stdout, stderr), told())
	require.NotEmpty(t, answer()+told(), "it says what it did")

	var group sync.WaitGroup // some of them mostly wait
	type end struct {
		what      string
		code      int
		says, not string
		said      func() string
	}
	ends := make(chan end, 3*len(losses))
	for _, l := range losses {
		nowhere := l.open(t)
		t.Cleanup(func() { nowhere.Close() })
		if answer() != "" {
			other, said := file()
			group.Go(func() {
				ends <- end{"standard output is " + l.name, run(nowhere, other), l.says, "broken pipe", said} // who closed it knows
			})
		}
		if told() != "" {
			other, _ := file()
			group.Go(func() { ends <- end{what: "standard error is " + l.name, code: run(other, nowhere)} })
		}
		group.Go(func() { ends <- end{what: "both are " + l.name, code: run(nowhere, nowhere)} })
	}
	group.Wait()
	close(ends)
	for e := range ends {
		require.Equal(t, exitFault, e.code, e.what)
		if e.said != nil {
			require.Contains(t, e.said(), e.says, e.what)
			require.NotContains(t, e.said(), e.not, e.what)
		}
	}
}

// A Go program finds /dev/null in place of an output that was closed before its
// start. It cannot be sure, since others open /dev/null in the same way.
func TestAnOutputThatWasClosedBeforeTheStartIsTold(t *testing.T) {
	t.Parallel()
	const told = "standard output was closed before the start, or is /dev/null"
	for line, want := range map[string]bool{
		"%s version >&-":             true,
		"%s version 1<>/dev/null":    true,
		"%s version >/dev/null":      false,
		"%s version --nonsense >&-":  false, // it prints nothing there
		"%s help version >&-":        true,
		"%s version >&- 2>/dev/null": false,
	} {
		cmd := exec.Command("sh", "-c", fmt.Sprintf(line, emulatortest.Binary(t)))
		var stderr strings.Builder
		cmd.Stderr = &stderr
		_ = cmd.Run()
		require.Equal(t, want, strings.Contains(stderr.String(), told), "%s: %s", line, stderr.String())
	}
}

func TestASignalEndsAWriteThatNobodyTakes(t *testing.T) {
	t.Parallel() // it mostly waits
	c := onEmulators(t)
	bad := make([]string, 2000) // more than a pipe holds
	for i := range bad {
		bad[i] = fmt.Sprintf(`{"no event": %d, "as all who read it see at once": true}`, i)
	}
	file, fifo := write(t, bad...), filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	reader, err := os.OpenFile(fifo, os.O_RDWR, 0) // it reads nothing
	require.NoError(t, err)
	defer reader.Close()
	for i, args := range [][]string{
		{"replay", "--yes", "--rate", "unlimited", "--refused", fifo, file},
		{"replay", "--yes", "--rate", "unlimited", "--refused", "-", file},
		{"replay", "--yes", "--rate", "unlimited", file}, // they are named on standard error
		{"version", "--licenses"},
	} {
		r, silent, err := os.Pipe() // nobody reads it
		require.NoError(t, err)
		defer r.Close()
		cmd := exec.Command(emulatortest.Binary(t), args...)
		cmd.Env = append(os.Environ(), c.project.Environ()...)
		cmd.Stdout, cmd.Stderr = silent, silent
		require.NoError(t, cmd.Start())
		silent.Close()
		require.Eventually(t, func() bool { return unread(t, r) > 60<<10 || i == 0 && unread(t, reader) > 60<<10 }, 30*time.Second, 10*time.Millisecond)
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		select {
		case <-ended:
			require.Equal(t, exitFault, cmd.ProcessState.ExitCode(), args)
		case <-time.After(30 * time.Second):
			_ = cmd.Process.Kill()
			t.Fatalf("%s: it still runs", args)
		}
	}
}

func TestDevEndsIfWhatItShowsIsLost(t *testing.T) {
	t.Parallel() // it mostly waits
	for _, l := range losses {
		nowhere := l.open(t)
		defer nowhere.Close()
		cmd := exec.Command(emulatortest.Binary(t), "dev", "--registry-backend", "memory", "--listen", "127.0.0.1:0")
		cmd.Stdout = nowhere
		require.NoError(t, cmd.Start())
		_ = cmd.Wait()
		require.Equal(t, exitFault, cmd.ProcessState.ExitCode(), l.name)
	}
}

func TestAServiceGoesOnWithoutItsLog(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	r, log, err := os.Pipe()
	require.NoError(t, err)
	r.Close()
	address := freeAddress(t)
	cmd := exec.Command(emulatortest.Binary(t), "serve", "--listen", address, "--log-level", "debug")
	cmd.Env = append(os.Environ(), c.project.Environ()...)
	cmd.Stderr = log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	require.Eventually(t, func() bool {
		response, err := http.Get("http://" + address + "/readyz")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, 30*time.Second, 20*time.Millisecond)
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Wait())
}

// freeAddress is one that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}
