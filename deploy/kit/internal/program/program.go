// Package program builds registry-worker from the module of the repository, and
// so from its go.mod and not from the kit's.
package program

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Build compiles the program for Linux as `make build` does, to a file, by a profile
// of the repository's, or "off".
func Build(root, arch, version, profile, to string) error {
	to, err := filepath.Abs(to)
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-pgo", profile, "-ldflags", "-X main.version="+version, "-o", to, "./cmd/registry-worker")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build registry-worker: %w\n%s", err, out)
	}
	return nil
}
