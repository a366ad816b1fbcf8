package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// summarize runs the tests of a module that consists of these files.
func summarize(t *testing.T, files map[string]string) (*summary, string) {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module m\ngo 1.26\n"
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	cmd := exec.Command("go", "test", "-json", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	out, _ := cmd.Output()
	var shown strings.Builder
	s := newSummary(&shown)
	require.NoError(t, s.read(strings.NewReader(string(out))))
	s.report("none", 3*time.Second)
	return s, shown.String()
}

func counts(s *summary) [3]int { return [3]int{s.passed, s.failed, s.skipped} }

func TestSubtestsAreCountedAndNotTheirParents(t *testing.T) {
	s, shown := summarize(t, map[string]string{
		"c/c.go": "package c\n",
		"a/a_test.go": `package a
import "testing"
func TestParent(t *testing.T) {
	t.Run("one", func(t *testing.T) { println("noise"); t.Log("noise") })
	t.Run("two", func(t *testing.T) { t.Skip("why\nand more") })
	t.Run("group", func(t *testing.T) { t.Run("three", func(*testing.T) {}) })
}
func TestAlone(t *testing.T) {}
func TestSkippedInSilence(t *testing.T) { t.SkipNow() }
func FuzzSeeds(f *testing.F) { f.Add(1); f.Add(2); f.Fuzz(func(*testing.T, int) {}) }
`})
	require.Equal(t, [3]int{5, 0, 2}, counts(s))
	require.True(t, s.silent(), "which fails the run")
	require.Regexp(t, `^ok  \tm/a\t[\d.]+s

1 packages with tests, 1 without; emulators: none; 3 s
skipped:
  1  a_test.go:5: why
  1  no reason given: let the test say one
5 passed, 0 failed, 2 skipped
$`, shown, "and of what passes, nothing but the package's line is shown")
}

func TestWhatPassedShowsWhatItLoggedWhereThatIsAskedFor(t *testing.T) {
	require.Equal(t, "--- PASS: TestX (1.50s)\n    x_test.go:3: 1000 cases, seed 7\n",
		logged("=== RUN   TestX\n    x_test.go:3: 1000 cases, seed 7\n--- PASS: TestX (1.50s)\n"))
	require.Empty(t, logged("=== RUN   TestX\n=== PAUSE TestX\n--- PASS: TestX (0.00s)\n"))
}

func TestEachFailureIsCountedOnceAndShownWhole(t *testing.T) {
	s, shown := summarize(t, map[string]string{"a/a_test.go": `package a
import "testing"
func TestPasses(t *testing.T) { t.Log("quiet") }
func TestFails(t *testing.T) { t.Log("context"); t.Error("bad") }
func TestParent(t *testing.T) { t.Run("one", func(t *testing.T) { t.Error("worse") }); t.Run("two", func(*testing.T) {}) }
func TestOnlyTheParentFails(t *testing.T) { t.Run("one", func(*testing.T) {}); t.Error("worst") }
`})
	require.Equal(t, [3]int{3, 3, 0}, counts(s))
	for _, text := range []string{"context", "bad", "worse", "worst", "--- FAIL: TestFails", "FAIL\tm/a"} {
		require.Contains(t, shown, text)
	}
	require.NotContains(t, shown, "quiet")
	require.True(t, strings.HasSuffix(shown, "\n3 passed, 3 failed, 0 skipped\n"))
}

func TestAPackageThatFailsWithoutATestIsAFailure(t *testing.T) {
	for name, test := range map[string]struct{ file, says string }{
		"build":    {"package a\nfunc helper() { undefined() }\n", "undefined: undefined"},
		"set-up":   {"package a\nimport _ \"m/missing\"\n", "missing"},
		"panic":    {"package a\nimport (\"testing\"; \"os\")\nfunc TestMain(*testing.M) { os.Stderr.WriteString(\"boom\\n\"); panic(1) }\n", "boom"},
		"exit":     {"package a\nimport (\"testing\"; \"os\")\nfunc TestX(*testing.T) { println(\"going\"); os.Exit(3) }\n", "going"},
		"goexited": {"package a\nimport \"testing\"\nfunc TestX(*testing.T) { go panic(\"boom\"); select {} }\n", "panic: boom"},
	} {
		t.Run(name, func(t *testing.T) {
			s, shown := summarize(t, map[string]string{"a/a_test.go": test.file})
			require.Equal(t, [3]int{0, 1, 0}, counts(s), shown)
			require.Contains(t, shown, test.says)
			require.Contains(t, shown, "FAIL\tm/a")
		})
	}
}
