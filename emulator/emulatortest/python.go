package emulatortest

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// Python returns the path of a Python that can import all the modules: that of PATH,
// or the system's, for which Debian has packages. Without one it skips the test; with
// CI=true it fails it.
func Python(t testing.TB, modules string) string {
	t.Helper()
	var err error
	var tried []string
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		var path string
		if path, err = exec.LookPath(name); err != nil {
			continue
		}
		var out []byte
		if out, err = exec.Command(path, "-c", "import "+modules).CombinedOutput(); err == nil {
			return path
		}
		tried = append(tried, fmt.Sprintf("%s: %s", path, out))
	}
	t.Log(strings.Join(tried, "\n"))
	t.Log("no Python imports " + modules + ": type make python")
	NotInstalled(t, err)
	return ""
}
