//go:build proofs

package robustness

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// apartVariable says by how many seconds a process's clock is ahead of the machine's.
const apartVariable = "ROBUSTNESS_CLOCK_APART"

// apart builds the program over a package time whose Now is ahead by so much as
// apartVariable says, and returns its path: a process of its own clock needs neither
// privileges nor another machine. The monotonic clock is the machine's.
func apart(t *testing.T, dir string) string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	require.NoError(t, err)
	std := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	overlay := map[string]string{}
	edit := func(name, old, new string) {
		text, err := os.ReadFile(filepath.Join(std, name))
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(text), old), "%s: %s", name, old)
		edited := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(edited, []byte(strings.Replace(string(text), old, new, 1)), 0o600))
		overlay[filepath.Join(std, name)] = edited
	}
	edit("time.go", "\tsec, nsec, mono := runtimeNow()\n", "\tsec, nsec, mono := runtimeNow()\n\tsec += apart\n")
	edit("zoneinfo_unix.go", "\nfunc initLocal() {", `
var apart = func() (seconds int64) {
	text, _ := syscall.Getenv("`+apartVariable+`")
	for _, digit := range []byte(text) {
		if '0' <= digit && digit <= '9' {
			seconds = 10*seconds + int64(digit-'0')
		}
	}
	if len(text) > 0 && text[0] == '-' {
		return -seconds
	}
	return seconds
}()

func initLocal() {`)
	file := filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": overlay})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, text, 0o600))
	binary := filepath.Join(dir, "registry-worker-apart")
	build := exec.Command("go", "build", "-trimpath", "-overlay", file, "-o", binary, "github.com/northstar-engines/realtime-registry/cmd/registry-worker")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	return binary
}
