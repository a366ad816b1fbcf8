package main

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
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

// writers are the commands that print without a backend, and with one.
var printing = []string{
	"help", "help run", "moves --help", "version", "--version", "config", "provision --dry-run", "provision", "export", "export --check",
	"export --events", "inspect thread th_1", "moves list", "moves list --json", "moves plan --from t_a --to t_b", "moves plan --from t_a --to t_b --json",
	"dead-letters list", "dead-letters list --json", "dead-letters redrive", "quota show t_a x", "quota show t_a x --json", "quota reset --yes t_a x",
}

func TestNoCommandTellsOfSuccessWhereItsOutputIsLost(t *testing.T) {
	c := onEmulators(t)
	c.run(exitDone, "provision")
	c.replay(created("1", "2024-01-01T00:00:00Z", "t_a", "th_1"), tenantMoved("m", "2024-01-02T00:00:00Z", "t_c", "t_d"))
	archive := write(t, created("2", "2024-01-01T00:00:00Z", "t_a", "th_2"))
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { full.Close() })
	for _, line := range append([]string{"replay --dry-run " + archive, "replay --yes " + archive, "publish " + archive}, printing...) {
		t.Run(strings.ReplaceAll(line, archive, "archive"), func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(line)
			told, err := os.CreateTemp(t.TempDir(), "stderr")
			require.NoError(t, err)
			text := func() string { text, _ := os.ReadFile(told.Name()); return string(text) }
			if silent := c.run(exitDone, args...).Stdout.String() == ""; !silent {
				require.Equal(t, exitFault, printed(t, c.project.Environ(), full, told, args...), text())
				require.Contains(t, text(), "no space left on device")
				require.NoError(t, told.Truncate(0))

				r, closed, err := os.Pipe()
				require.NoError(t, err)
				r.Close()
				defer closed.Close()
				require.Equal(t, exitFault, printed(t, c.project.Environ(), closed, told, args...), text())
				require.NotContains(t, text(), "broken pipe", "who closed it knows")
			}
			if text() != "" {
				require.Equal(t, exitFault, printed(t, c.project.Environ(), told, full, args...))
			}
		})
	}
}

func TestAServiceGoesOnWithoutItsLog(t *testing.T) {
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
