package manifests

import (
	"bytes"
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

// start is the program as a manifest starts it.
type start struct {
	where   string // in which manifest
	args    []string
	environ map[string]string
	grace   time.Duration     // from SIGTERM to SIGKILL
	probes  map[string]string // paths by the port that is asked, host:port without a host
}

// platforms may set these beside ours.
var notOurs = []string{"GOMEMLIMIT", "PORT"}

// requireRuns holds a start to what the program itself says: that the command
// takes these flags and variables with these values, that nothing is misspelt,
// that it has the time to end, and that what is probed is there.
func requireRuns(t *testing.T, s start) {
	t.Helper()
	require.NotEmpty(t, s.args, s.where)
	command, flags := s.args[0], s.args[1:]
	help := output(t, nil, "help", command)
	for _, f := range flags {
		name, _, _ := strings.Cut(f, "=")
		require.Regexp(t, regexp.MustCompile(`(?m)^\s+`+regexp.QuoteMeta(name)+`\s`), help, "%s: %s", s.where, command)
	}
	for name := range s.environ {
		if !slices.Contains(notOurs, name) {
			require.Contains(t, help, "[$"+name+"]", "%s: %s", s.where, command)
		}
	}
	effective := s.effective(t)
	end := durationOf(t, effective["drain-timeout"]) + 5*time.Second
	if command == "serve" || slices.Contains(flags, "--api") {
		end += durationOf(t, effective["shutdown-delay"])
	}
	require.LessOrEqual(t, end, s.grace, "%s: it would be killed before it has ended", s.where)
	health := effective["metrics-listen"]
	for port, path := range s.probes {
		require.Contains(t, []string{portOf(effective["listen"]), portOf(health)}, port, "%s: %s", s.where, path)
		require.Contains(t, paths[command], path, "%s: %s", s.where, command)
	}
}

// paths are those that each command may be probed at: what the run of the image
// asks too. ?store is none of them.
var paths = map[string][]string{
	"serve": {"/livez", "/readyz", "/readyz/api"},
	"run":   {"/livez", "/readyz", "/readyz/worker"},
}

// effective is what `config` makes of the start, which checks it too.
func (s start) effective(t *testing.T) map[string]string {
	t.Helper()
	args := []string{"config"}
	for _, f := range s.args[1:] {
		name, value, _ := strings.Cut(f, "=")
		if strings.HasSuffix(name, "-token-file") {
			f = name + "=" + tokenFile(t)
			require.True(t, filepath.IsAbs(value), f)
		}
		args = append(args, f)
	}
	var environ []string
	for name, value := range s.environ {
		environ = append(environ, name+"="+value)
	}
	settings := map[string]string{}
	for line := range strings.Lines(output(t, environ, args...)) {
		if fields := strings.Fields(line); len(fields) > 2 && strings.HasPrefix(fields[0], "--") {
			settings[fields[0][2:]] = fields[1]
		}
	}
	require.NotEmpty(t, settings)
	return settings
}

// setting is the default of a flag, as help shows it.
func setting(t *testing.T, command, flag string) string {
	t.Helper()
	help := strings.Join(strings.Fields(output(t, nil, "help", command)), " ")
	_, after, found := strings.Cut(help, " --"+flag+" ")
	require.True(t, found)
	m := regexp.MustCompile(`\(default: ([^);]+)`).FindStringSubmatch(after)
	require.NotNil(t, m)
	return m[1]
}

// output runs the program, which must succeed and warn of nothing.
func output(t *testing.T, environ []string, args ...string) string {
	t.Helper()
	cmd := exec.Command(emulatortest.Binary(t), args...)
	cmd.Env = append([]string{"HOME=" + t.TempDir()}, environ...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Run(), "%v: %s", args, &stderr)
	require.Empty(t, stderr.String(), args)
	return stdout.String()
}

func tokenFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(path, []byte("0123456789abcdef\n"), 0o600))
	return path
}

func durationOf(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	return d
}

func portOf(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }
