package emulatortest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/northstar-engines/realtime-registry/emulator/internal/privatedir"
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
	// A permanent directory, since nothing runs when the test binary ends. There is
	// one for each checkout, so that they do not pile up.
	checkout := uuid.NewSHA1(uuid.NameSpaceURL, module)
	dir, err := privatedir.Make("tests-" + checkout.String()[:8])
	if err != nil {
		return "", err
	}
	// The program is replaced by a rename: packages are tested in parallel, and a
	// running program must not be overwritten.
	path := filepath.Join(dir, "registry-worker")
	fresh := fmt.Sprintf("%s.%d", path, os.Getpid())
	build := exec.Command("go", "build", "-trimpath", "-o", fresh, worker)
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as make builds it, from the same cache
	out, err := build.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build registry-worker: %w\n%s", err, out)
	}
	return path, os.Rename(fresh, path)
})
