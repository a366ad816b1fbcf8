//go:build proofs

package mutants_test

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/mutants"
)

// Each mutant is built once, and as many are tried side by side as there are cores: a
// simulation takes one.
func TestProofThatEveryRuleLeftOutIsNoticed(t *testing.T) {
	root, err := mutants.Root()
	require.NoError(t, err)
	for _, m := range table {
		t.Run(m.rule, func(t *testing.T) {
			t.Parallel()
			began, dir := time.Now(), t.TempDir()
			overlay, err := mutants.Overlay(root, dir, m.edits...)
			require.NoError(t, err)
			binary := filepath.Join(dir, "mutant.test")
			build := exec.Command("go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", binary, m.pkg)
			build.Dir = root
			out, err := build.CombinedOutput()
			require.NoError(t, err, string(out))
			built := time.Since(began)
			test := exec.CommandContext(t.Context(), binary, append([]string{"-test.run", m.run, "-test.timeout", "1h"}, m.args...)...)
			test.Dir = filepath.Join(root, m.pkg)
			out, err = test.CombinedOutput()
			require.Error(t, err, "it is not noticed")
			said := m.noticed.Find(out)
			require.NotEmpty(t, said, "another end than was wanted:\n%s", out)
			t.Logf("noticed in %v, built in %v: %s", (time.Since(began) - built).Round(time.Second), built.Round(time.Second), said)
		})
	}
}
