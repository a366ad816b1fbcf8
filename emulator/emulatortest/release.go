package emulatortest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/northstar-engines/realtime-registry/emulator/internal/privatedir"
	"github.com/northstar-engines/realtime-registry/internal/mutants"
)

// Release builds registry-worker as it was at a commit of this repository, once
// for a machine, and returns its path. If the clone has no such commit the test
// is skipped, and fails in CI (CI=true).
func Release(t testing.TB, commit string) string {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	dir, err := privatedir.Make("releases")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "registry-worker-"+commit)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if err := exec.Command("git", "rev-parse", "--verify", "--quiet", commit+"^{commit}").Run(); err != nil {
		NotInstalled(t, fmt.Errorf("commit %s is not in this clone, which the test builds it from (git fetch --unshallow): %w", commit, err))
	}
	if err := buildRelease(t.TempDir(), commit, path); err != nil {
		t.Fatal(err)
	}
	return path
}

var building sync.Mutex // one build at a time is enough for the machine

func buildRelease(dir, commit, path string) error {
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return fmt.Errorf("find the repository: %w", err)
	}
	archive := exec.Command("git", "archive", commit)
	archive.Dir = strings.TrimSpace(string(top))
	files, err := archive.Output()
	if err != nil {
		return fmt.Errorf("git archive %s: %w", commit, err)
	}
	unpack := exec.Command("tar", "-x", "-C", dir)
	unpack.Stdin = bytes.NewReader(files)
	if out, err := unpack.CombinedOutput(); err != nil {
		return fmt.Errorf("unpack %s: %w\n%s", commit, err, out)
	}
	return build(dir, path)
}

// build builds the module in dir, and replaces the program by a rename.
func build(dir, path string, flags ...string) error {
	fresh := fmt.Sprintf("%s.%d", path, os.Getpid())
	args := append([]string{"build", "-trimpath", "-o", fresh}, flags...) // wherever dir is, from the same cache
	build := exec.Command("go", append(args, worker)...)
	build.Dir, build.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build registry-worker in %s: %w\n%s", dir, err, out)
	}
	return os.Rename(fresh, path)
}

// An Edit is a change of a source file, for a program that differs from this one.
type Edit = mutants.Edit

// Edited builds registry-worker from the sources with edits: the release after
// this one, or this one without a rule. Each Old must be in its file, once.
func Edited(t testing.TB, edits ...Edit) string {
	t.Helper()
	root, err := mutants.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	overlay, err := mutants.Overlay(root, dir, edits...)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "registry-worker")
	building.Lock()
	defer building.Unlock()
	if err := build(root, path, "-overlay", overlay); err != nil {
		t.Fatal(err)
	}
	return path
}
