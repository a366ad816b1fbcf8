// Package python runs the tests of the Python package, and puts it before a registry
// that runs.
package python

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

const soon = time.Minute

// needs is what `make python` installs.
const needs = "httpx, fastapi, uvicorn, websockets, pytest, pytest_asyncio, django"

var environ = []string{"PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH=src"}

// TestThePackage runs its own tests. They wait much and compute little, so each file
// is a process beside the others.
func TestThePackage(t *testing.T) {
	t.Parallel()
	python := emulatortest.Python(t, needs)
	files, err := filepath.Glob("tests/test_*.py")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			p := emulatortest.Run(t, environ, python, "-m", "pytest", "-p", "no:cacheprovider", "--strict-config", "-W", "error::pytest.PytestUnhandledCoroutineWarning", "-q", file)
			require.Equal(t, 0, p.Wait(4*soon), "%s%s", p.Stdout, p.Stderr)
			require.NotContains(t, p.Stdout.String(), "skipped")
		})
	}
}
