package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/replay"
)

// An output that is an input, by whatever name, is refused before either is
// opened.
func TestNoOutputIsAnInputByWhateverName(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	text := created("1", "2024-01-01T00:00:00Z", "t_a", "th_1") + "\n"
	input := path("archive.ndjson")
	require.NoError(t, os.WriteFile(input, []byte(text), 0o600))
	require.NoError(t, os.Symlink(input, path("symlink")))
	require.NoError(t, os.Symlink(dir, path("folder")))
	require.NoError(t, os.Link(input, path("hardlink")))
	require.NoError(t, syscall.Mkfifo(path("fifo"), 0o600))
	relative, err := filepath.Rel(mustGetwd(t), input)
	require.NoError(t, err)
	names := []string{input, relative, path("symlink"), path("hardlink"), path("folder/archive.ndjson"), dir + "//./archive.ndjson"}
	var lines [][]string
	for _, flag := range []string{"--refused", "--checkpoint"} {
		for _, name := range names {
			lines = append(lines, []string{flag, name, input}, []string{flag, input, path("fifo"), name})
		}
		lines = append(lines, []string{flag, path("fifo"), path("fifo")})
	}
	lines = append(lines,
		[]string{"--refused", path("new"), "--checkpoint", path("new"), input},
		[]string{"--refused", path("new"), "--checkpoint", path("folder/new"), input})
	for _, line := range lines {
		for _, how := range []string{"--yes", "--dry-run"} {
			if how == "--dry-run" && strings.Contains(strings.Join(line, " "), "--checkpoint") {
				continue
			}
			r := call(t, nil, append([]string{"replay", "--project", "p-1", how}, line...)...)
			require.Equal(t, exitUsage, r.code, "%s\n%s", line, r.stderr)
			require.Contains(t, r.stderr, "are one file", line)
		}
	}
	for args, want := range map[string]string{"--yes - -": "stands twice", "--yes --checkpoint c x x": "stands twice", "--yes --checkpoint - x": "wants a file"} {
		r := call(t, nil, append([]string{"replay", "--project", "p-1"}, strings.Fields(args)...)...)
		require.Equal(t, exitUsage, r.code, r.stderr)
		require.Contains(t, r.stderr, want)
	}
	env := []string{"GOOGLE_CLOUD_PROJECT=p-1"}
	for _, args := range []string{"replay --yes", "replay --dry-run", "publish"} {
		file, err := os.OpenFile(input, os.O_APPEND|os.O_RDWR, 0)
		require.NoError(t, err)
		for _, redirected := range [][]*os.File{{file, os.Stderr}, {nil, file}} {
			require.Equal(t, exitUsage, printed(t, env, redirected[0], redirected[1], append(strings.Fields(args), input)...), args)
		}
		_ = file.Close()
		credentials := append([]string{"GOOGLE_APPLICATION_CREDENTIALS=" + input}, env...)
		require.Equal(t, exitUsage, printed(t, credentials, nil, nil, "replay", "--yes", "--refused", path("symlink"), path("fifo")))
	}
	after, err := os.ReadFile(input)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(after), text), "nothing was cut off")
	require.NoFileExists(t, path("new"))
}

func mustGetwd(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	return dir
}

func TestRefusedLinesGoWhereTheyAreAskedToAndDestroyNothing(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	dir := t.TempDir()
	archive := write(t, created("1", "2024-01-01T00:00:00Z", "t_a", "th_1"), "nonsense")
	kept, refused := filepath.Join(dir, "kept"), filepath.Join(dir, "refused")
	require.NoError(t, os.WriteFile(kept, []byte("of somebody else"), 0o644))
	require.NoError(t, os.Symlink(kept, refused))
	c.run(exitFault, "replay", "--yes", "--refused", refused, archive)
	text, err := os.ReadFile(kept)
	require.NoError(t, err)
	require.Equal(t, "of somebody else", string(text), "a link is replaced, not followed")
	info, err := os.Lstat(refused)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode(), "it holds events")

	for _, name := range []string{"-", "/dev/stdout"} {
		p := c.run(exitFault, "replay", "--yes", "--refused", name, archive)
		var noted replay.Refusal
		require.NoError(t, json.Unmarshal([]byte(p.Stdout.String()), &noted), "and nothing else is there")
		require.Equal(t, 2, noted.Line)
		require.Contains(t, p.Stderr.String(), "not understood")
	}
	require.NoFileExists(t, "-")
	full := c.run(exitFault, "replay", "--yes", "--refused", "/dev/full", archive)
	require.Contains(t, full.Stderr.String(), "no space left on device")
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 2, "nothing is left beside")
}

func TestACheckpointOfAPipeLosesNothingAndAFIFODoesNotHangTheReplay(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	dir := t.TempDir()
	fifo, checkpoint := filepath.Join(dir, "fifo"), filepath.Join(dir, "checkpoint.json")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	lines := strings.Join(threads("t_a", "pipe", 1500), "\n") + "\n"
	go func() { _ = os.WriteFile(fifo, []byte(lines), 0o600) }()
	require.Regexp(t, `all +1500 +1500 `, c.run(exitDone, "replay", "--yes", "--rate", "unlimited", "--checkpoint", checkpoint, fifo).Stdout.String())

	// Another stream than the one that was applied, up to line 1,000.
	left, err := json.Marshal(map[string]any{
		"target": c.target().String(), "files": []string{"-"}, "options": "retractions false, assertions false, clock skew 5m0s",
		"position": replay.Position{File: "-", Line: 1000}, "digest": strings.Repeat("0", 64), "counts": map[string]any{},
	})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(checkpoint, left, 0o600))
	cmd := exec.Command(emulatortest.Binary(t), "replay", "--yes", "--rate", "unlimited", "--checkpoint", checkpoint, "-")
	cmd.Env, cmd.Stdin = append(os.Environ(), c.project.Environ()...), strings.NewReader(lines)
	said, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(said), "what the files hold up to -:1000 is not what was applied")

	p := c.start("replay", "--yes", fifo)
	p.AwaitLine("writing to", 10*time.Second)
	p.Signal(syscall.SIGTERM)
	require.Equal(t, exitFault, p.Wait(10*time.Second))
	require.Contains(t, p.Stderr.String(), "interrupted")
}

func (c program) target() target {
	return target{Project: c.project.ID, Database: "(default)", Emulator: c.project.FirestoreHost}
}

func TestACheckpointOfAnotherTargetIsRefusedByName(t *testing.T) {
	t.Parallel()
	staging, prod := onEmulators(t), onEmulators(t)
	file, checkpoint := write(t, threads("t_a", "k", 3000)...), filepath.Join(t.TempDir(), "checkpoint.json")
	first := staging.start("replay", "--yes", "--checkpoint", checkpoint, "--rate", "200", file)
	require.Eventually(t, func() bool { _, err := os.Stat(checkpoint); return err == nil }, 30*time.Second, time.Millisecond)
	first.Kill()
	first.Wait(10 * time.Second)
	for _, args := range [][]string{nil, {"--collection-prefix", "x_"}, {"--with-retractions"}} {
		other := prod
		if args != nil {
			other = staging
		}
		p := other.run(exitFault, append([]string{"replay", "--yes", "--checkpoint", checkpoint, file}, args...)...)
		require.Contains(t, p.Stderr.String(), "checkpoint "+checkpoint+" is of a replay")
		if args == nil {
			require.Contains(t, p.Stderr.String(), "to project "+staging.project.ID)
			require.Contains(t, p.Stderr.String(), "this one is to project "+prod.project.ID)
		}
	}
	require.Empty(t, prod.export())
}

func TestAReplaySaysWhereFromAndWhatItChangesAndAsks(t *testing.T) {
	t.Parallel()
	staging, prod := onEmulators(t), onEmulators(t)
	staging.replay(created("s1", "2024-01-01T00:00:00Z", "t_staging", "1001"), tenantMoved("m1", "2024-02-02T00:00:00Z", "t_x", "t_y"))
	staging.run(exitDone, "moves", "retract", "m1", "--yes")
	prod.replay(created("p1", "2024-02-01T00:00:00Z", "t_prod", "1001"), tenantMoved("m1", "2024-02-02T00:00:00Z", "t_x", "t_y"))
	text := staging.export("--events")
	archive := filepath.Join(t.TempDir(), "staging.ndjson")
	require.NoError(t, os.WriteFile(archive, []byte(text), 0o600))
	before := prod.archive()

	refused := prod.run(exitUsage, "replay", archive)
	require.Contains(t, refused.Stderr.String(), "give --yes")
	s := onTerminal(t, prod.project.Environ(), "replay", "--with-retractions", archive)
	s.await("Type yes to go on")
	shown := strings.ReplaceAll(s.text(), "\r\n", "\n")
	require.True(t, strings.HasPrefix(shown, "writing to "+prod.target().String()+"\n"), shown)
	require.Contains(t, shown, "from "+staging.target().String()+": not where they are written to")
	require.Contains(t, shown, "1 thread would change hands")
	require.Contains(t, shown, "thread/1001: t_prod → t_staging")
	require.Contains(t, shown, "the move of everything from t_x to t_y (event m1) would cease to count")
	require.Contains(t, shown, prod.target().String()+": replay "+archive+", with its retractions?")
	s.keys(ctrlC)
	s.exits(exitFault)
	require.Equal(t, before, prod.archive())

	s = onTerminal(t, prod.project.Environ(), "replay", archive)
	s.await("Type yes to go on")
	s.keys("yes\n")
	s.exits(exitFault)
	require.Contains(t, s.text(), "not_asked: the retraction of a move: --with-retractions applies it")
	require.Contains(t, s.text(), "displaced: thread/1001: created t_prod (event p1 of //test, 2024-02-01T00:00:00Z)")
	require.Contains(t, prod.export(), `"tenant_id":"t_staging"`)
	require.Contains(t, prod.run(exitDone, "moves", "list").Stdout.String(), "counts")

	for cut, want := range map[string]string{
		text[:strings.LastIndex(strings.TrimSuffix(text, "\n"), "\n")+1]: "has no end: it was cut",
		strings.Replace(text, "t_staging", "t_thief", 1):                 "its 3 events were changed",
	} {
		require.NoError(t, os.WriteFile(archive, []byte(cut), 0o600))
		p := prod.run(exitFault, "replay", "--yes", archive)
		require.Contains(t, p.Stderr.String(), want)
		require.Contains(t, p.Stderr.String(), "nothing was changed")
	}
	piped := onTerminal(t, prod.project.Environ(), "replay", "-")
	piped.exits(exitUsage)
	require.Contains(t, piped.text(), "can be read only once")
}

func TestAReplayCommitsToTheLedgerAsOftenAsItsRateSays(t *testing.T) {
	for rate, want := range map[string]float64{"ramp": 1, "100": 1, "5000": 10, "unlimited": 1e6} {
		r, err := governor.Parse(rate)
		require.NoError(t, err)
		require.Equal(t, want, ledgerRate(r), rate)
	}
}
