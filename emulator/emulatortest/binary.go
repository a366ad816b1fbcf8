package emulatortest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/northstar-engines/realtime-registry/emulator/internal/privatedir"
)

const (
	module = "github.com/northstar-engines/realtime-registry"
	worker = module + "/cmd/registry-worker"
)

// Binary builds registry-worker from the sources, as they are when the test binary
// first asks, and returns its path. Test binaries of one checkout share it.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := buildWorker()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var buildWorker = sync.OnceValues(func() (string, error) {
	// The root of the module, also if the test is of a module of its own, which this
	// one is a requirement of.
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	root := strings.TrimSpace(string(out))
	// A permanent directory, since nothing runs when the test binary ends. There is
	// one for each checkout, so that they do not pile up.
	checkout := uuid.NewSHA1(uuid.NameSpaceURL, []byte(root))
	dir, err := privatedir.Make("tests-" + checkout.String()[:8])
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "registry-worker")
	return path, buildShared(root, path)
})

// buildShared builds registry-worker as other test binaries do at the same time, and
// run it. The go command does not link what is up to date, but it writes into what is
// not; so it builds beside path, where nothing runs, and path is replaced by a rename.
func buildShared(root, path string) error {
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	built := path + ".built"
	// As make builds it, from the same cache, but of no version, as test binaries are.
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", built, worker)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build registry-worker: %w\n%s", err, out)
	}
	program, err := os.ReadFile(built)
	if err != nil {
		return err
	}
	switch old, err := os.ReadFile(path); {
	case err == nil && bytes.Equal(old, program):
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	fresh := path + ".fresh"
	if err := os.WriteFile(fresh, program, 0o700); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}
