package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
)

// All commands of docs/recovery.md, in their order, in one shell, with other programs
// in the place of those that change anything. They fail at nothing, use no variable
// that was not set, and name commands and flags that there are.
func TestTheCommandsOfTheRecoveryPageAreTypedAsTheyStand(t *testing.T) {
	page, err := os.ReadFile("../../docs/recovery.md")
	require.NoError(t, err)
	var script strings.Builder
	for _, block := range regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```").FindAllStringSubmatch(string(page), -1) {
		script.WriteString(block[1])
	}
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "bin"), 0o700))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "archive"), 0o700))
	require.NoError(t, os.CopyFS(filepath.Join(dir, "deploy", "archive"), os.DirFS("../../deploy/archive")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "archive", "events.ndjson"), []byte(created("1", "2026-11-26T11:00:00Z", "t_a", "th_1")+"\n"), 0o600))
	for _, program := range []string{"gcloud", "kubectl", "systemctl", "jq", "terraform", programName} {
		text := "#!/bin/sh\ncat > /dev/null\necho " + program + " \"$*\" >> \"$CALLS\"\necho 2026-11-26T10:20:00Z\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, "bin", program), []byte(text), 0o700))
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script.String())
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "CALLS="+filepath.Join(dir, "calls"))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)

	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	require.NoError(t, err)
	var own int
	for line := range strings.Lines(string(calls)) {
		words := strings.Fields(line)
		if words[0] != programName {
			continue
		}
		own++
		i := slices.IndexFunc(commands(), func(c command) bool { return c.Name == words[1] })
		require.GreaterOrEqual(t, i, 0, line)
		c := commands()[i]
		if len(c.Sub) > 0 {
			j := slices.IndexFunc(c.Sub, func(s command) bool { return s.Name == words[1]+" "+words[2] })
			require.GreaterOrEqual(t, j, 0, line)
			c = c.Sub[j]
		}
		for _, word := range words {
			if name, isFlag := strings.CutPrefix(word, "--"); isFlag {
				name, _, _ = strings.Cut(name, "=")
				has := slices.ContainsFunc(config.In(c.Groups), func(s config.Setting) bool { return s.Name == name })
				require.True(t, has, "%s has no flag %s: %s", c.Name, name, line)
			}
		}
	}
	require.Greater(t, own, 8)
	transform, err := os.ReadFile(filepath.Join(dir, "transform.yaml"))
	require.NoError(t, err)
	require.Contains(t, string(transform), `if (!event || !/^(registry\.(claimed|retracted)|nexus\.tenant\.moved)\.v1$/.test(event.type))`, "that of the last topic")
}
