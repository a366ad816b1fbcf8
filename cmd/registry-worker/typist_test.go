package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// typist is somebody who types the commands of docs/recovery.md into a shell. Its
// registry-worker is what is tested, on the emulators, and answers questions with yes;
// gcloud, kubectl and systemctl only say what the page needs to hear.
type typist struct {
	t       *testing.T
	project string
	in      io.Writer
	out     chan string // lines, of both outputs
	dir     string
	blocks  int
}

// gcloud says what the latest backup is, and copies from the bucket, which is a directory.
const gcloud = `#!/bin/bash
case "$*" in
"storage cp"*) set -- "${@: -2}"; cp -r "$BUCKET_DIR/${1##*/}" "$2" ;;
*"value(name)"*) echo projects/my-project/locations/eur3/backups/b1 ;;
*"value(snapshotTime)"*) cat "$BUCKET_DIR/snapshot" ;;
*) echo "gcloud $*" ;;
esac
`

func (c program) typist() *typist {
	c.t.Helper()
	dir := c.t.TempDir()
	s := &typist{t: c.t, project: c.project.ID, out: make(chan string, 10_000), dir: dir}
	require.NoError(c.t, os.Mkdir(filepath.Join(dir, "bin"), 0o700))
	require.NoError(c.t, os.Mkdir(s.bucket(), 0o700))
	require.NoError(c.t, os.CopyFS(filepath.Join(dir, "deploy", "archive"), os.DirFS("../../deploy/archive")))
	worker := fmt.Sprintf("#!/bin/sh\ncase $1 in recover|replay) set -- \"$@\" --yes;; esac\nexec %s \"$@\" </dev/null\n", emulatortest.Binary(c.t))
	for name, text := range map[string]string{"gcloud": gcloud, "kubectl": "#!/bin/sh\n", "systemctl": "#!/bin/sh\n", programName: worker} {
		require.NoError(c.t, os.WriteFile(filepath.Join(dir, "bin", name), []byte(text), 0o700))
	}
	cmd := exec.CommandContext(c.t.Context(), "bash", "-u")
	cmd.Dir = dir
	cmd.Env = append(slices.Concat(os.Environ(), c.project.Environ(), c.env), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "BUCKET_DIR="+s.bucket())
	in, err := cmd.StdinPipe()
	require.NoError(c.t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(c.t, err)
	cmd.Stderr = cmd.Stdout
	require.NoError(c.t, cmd.Start())
	c.t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	go func() {
		defer close(s.out)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			s.out <- lines.Text()
		}
	}()
	s.in = in
	return s
}

func (s *typist) bucket() string { return filepath.Join(s.dir, "bucket") }

// types types a block, and returns what it prints. It ends with 0.
func (s *typist) types(block string) (lines []string) {
	s.t.Helper()
	s.blocks++
	end := fmt.Sprintf("end of block %d: ", s.blocks)
	_, err := io.WriteString(s.in, strings.ReplaceAll(block, "my-project", s.project)+"\necho \""+end+"$?\"\n")
	require.NoError(s.t, err)
	for deadline := time.After(2 * time.Minute); ; {
		select {
		case line, ok := <-s.out:
			require.True(s.t, ok, "the shell has ended:\n%s\n%s", block, strings.Join(lines, "\n"))
			if code, ended := strings.CutPrefix(line, end); ended {
				require.Equal(s.t, "0", code, "%s\n%s", block, strings.Join(lines, "\n"))
				return lines
			}
			lines = append(lines, line)
		case <-deadline:
			s.t.Fatalf("it goes on:\n%s\n%s", block, strings.Join(lines, "\n"))
		}
	}
}

// recoveryPage is docs/recovery.md, of which each block of commands is asked for once.
type recoveryPage struct {
	t    *testing.T
	text string
}

func readRecoveryPage(t *testing.T) recoveryPage {
	t.Helper()
	page, err := os.ReadFile("../../docs/recovery.md")
	require.NoError(t, err)
	return recoveryPage{t, string(page)}
}

var fence = regexp.MustCompile("(?ms)^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?")

// block is the first block of commands that begins with a text, or else has it, and what
// the page says that it prints, if it says it.
func (p recoveryPage) block(text string) (commands string, prints []string) {
	p.t.Helper()
	for _, is := range []func(string, string) bool{strings.HasPrefix, strings.Contains} {
		for _, b := range fence.FindAllStringSubmatch(p.text, -1) {
			if !is(b[1], text) {
				continue
			}
			if b[2] != "" {
				prints = strings.Split(strings.TrimSuffix(b[2], "\n"), "\n")
			}
			return b[1], prints
		}
	}
	p.t.Fatalf("no block has %q", text)
	return "", nil
}

// types types the block with a text in it, and requires that it prints what the page
// says, in this order; "…" stands for further lines.
func (p recoveryPage) types(s *typist, text string) {
	p.t.Helper()
	commands, want := p.block(text)
	got := s.types(commands)
	for i, line := range got {
		got[i] = s.plain(line)
	}
	rest := got
	for _, line := range want {
		if line == "…" {
			continue
		}
		i := slices.Index(rest, s.plain(line))
		require.GreaterOrEqual(p.t, i, 0, "the page says %q; it prints:\n%s", line, strings.Join(got, "\n"))
		rest = rest[i+1:]
	}
}

var differing = []struct {
	pattern *regexp.Regexp
	as      string
}{
	{regexp.MustCompile(`emulator at [0-9.]+:\d+`), "production"},
	{regexp.MustCompile(`realtime-registry-\d{8}-\d{4}`), "DATABASE"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`[0-9a-f]{32}`), "EPOCH"},
	{regexp.MustCompile(`\b(\d+h)?(\d+m)?\d+(\.\d+)?(s|ms|µs)\b`), "DURATION"},
	{regexp.MustCompile(`\b[0-9,.]+/s`), "RATE"},
	{regexp.MustCompile(`  +`), " "},
}

// plain is a line without what differs from one rehearsal to the next.
func (s *typist) plain(line string) string {
	line = strings.ReplaceAll(strings.TrimSpace(line), s.project, "my-project")
	for _, d := range differing {
		line = d.pattern.ReplaceAllString(line, d.as)
	}
	return line
}
