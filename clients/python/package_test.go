// Package python runs the tests of the Python package, and puts it before a registry
// that runs.
package python

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

const soon = time.Minute

// needs is what `make python` installs.
const needs = "httpx, fastapi, uvicorn, websockets, pytest, pytest_asyncio, django"

var environ = []string{"PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH=src"}

// TestThePackage runs its own tests. They wait much and compute little, so they are
// dealt out to processes that run side by side; but each takes half a second of a
// processor to start, so there are not as many as files.
func TestThePackage(t *testing.T) {
	t.Parallel()
	python := emulatortest.Python(t, needs)
	files, err := filepath.Glob("tests/test_*.py")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	const processes = 4
	for first := range processes {
		var mine, names []string
		for i := first; i < len(files); i += processes {
			mine, names = append(mine, files[i]), append(names, filepath.Base(files[i]))
		}
		t.Run(strings.Join(names, ","), func(t *testing.T) {
			t.Parallel()
			args := append([]string{"-m", "pytest", "-p", "no:cacheprovider", "--strict-config", "-W", "error::pytest.PytestUnhandledCoroutineWarning", "-q"}, mine...)
			p := emulatortest.Run(t, environ, python, args...)
			require.Equal(t, 0, p.Wait(4*soon), "%s%s", p.Stdout, p.Stderr)
			require.NotContains(t, p.Stdout.String(), "skipped")
		})
	}
}
