package emulatortest

import (
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"testing"
)

// Python returns the path of a Python that can import all the modules: that of PATH,
// or the system's, for which Debian has packages. Without one it skips the test; with
// CI=true it fails it.
func Python(t testing.TB, modules string) string {
	t.Helper()
	find, _ := pythons.LoadOrStore(modules, sync.OnceValues(func() (string, error) { return findPython(modules) }))
	path, err := find.(func() (string, error))()
	if err != nil {
		t.Log("no Python imports " + modules + ": type make python")
		NotInstalled(t, err)
	}
	return path
}

// pythons are those that were looked for, by what they import, which takes a third of a
// second to find out.
var pythons sync.Map

func findPython(modules string) (path string, err error) {
	var tried []error
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if path, err = exec.LookPath(name); err != nil {
			tried = append(tried, err)
			continue
		}
		out, err := exec.Command(path, "-c", "import "+modules).CombinedOutput()
		if err == nil {
			return path, nil
		}
		tried = append(tried, fmt.Errorf("%s: %w: %s", path, err, out))
	}
	return "", errors.Join(tried...)
}
