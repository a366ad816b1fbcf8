package emulatortest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/uuid"
)

const worker = "github.com/northstar-engines/realtime-registry/cmd/registry-worker"

// Binary builds registry-worker, once for the test binary, and returns its path.
// It is always built anew from the sources; the build cache makes that cheap.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := buildWorker()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var buildWorker = sync.OnceValues(func() (string, error) {
	module, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	// A place that stays, since nothing runs when the test binary ends: one for
	// each checkout, so that they do not pile up.
	checkout := uuid.NewSHA1(uuid.NameSpaceURL, module)
	dir := filepath.Join(os.TempDir(), "realtime-registry-"+checkout.String()[:8])
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	// Swapped in by a rename: packages are tested in parallel, and a program
	// that runs must not be written over.
	path := filepath.Join(dir, "registry-worker")
	fresh := fmt.Sprintf("%s.%d", path, os.Getpid())
	out, err := exec.Command("go", "build", "-o", fresh, worker).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build registry-worker: %w\n%s", err, out)
	}
	return path, os.Rename(fresh, path)
})
