// Package programtest builds the program for the tests of a package, once.
package programtest

import (
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/deploy/kit/internal/program"
)

var (
	dir   string // removed by Main
	build = sync.OnceValues(func() (string, error) {
		path := filepath.Join(dir, "registry-worker")
		return path, program.Build("../../..", runtime.GOARCH, "v0.0.0", "off", path)
	})
)

// Main runs the tests of a package two levels below deploy, and removes what was
// built for them. A TestMain calls it.
func Main(m *testing.M) {
	var err error
	if dir, err = os.MkdirTemp("", "registry-kit-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// Binary is the program, built from the repository's own go.mod.
func Binary(t *testing.T) string {
	t.Helper()
	path, err := build()
	require.NoError(t, err)
	return path
}
