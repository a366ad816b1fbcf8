package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

func TestShellsCompleteCommandsAndFlags(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "pwsh"} {
		r := call(t, nil, "completion", shell)
		require.Equal(t, exitDone, r.code, r.stderr)
		require.Contains(t, r.stdout, "--generate-shell-completion", shell)
	}
	require.Contains(t, call(t, nil, "help").stdout, "completion")
	binary := emulatortest.Binary(t) // the library looks at the process's own arguments
	for line, want := range map[string]string{"": "provision", "moves": "verify", "moves list --js": "--json", "run --str": "--streams"} {
		out, err := exec.Command(binary, append(strings.Fields(line), "--generate-shell-completion")...).Output()
		require.NoError(t, err, line)
		require.Contains(t, string(out), want, line)
	}
}

func TestBashCompletesWhatIsTyped(t *testing.T) {
	bash := emulatortest.Program(t, "bash")
	script := `_get_comp_words_by_ref() { :; } # bash-completion's
source <(registry-worker completion bash)
COMP_WORDS=(registry-worker moves re); COMP_CWORD=2
__registry-worker_bash_autocomplete
echo "${COMPREPLY[@]}"`
	cmd := exec.Command(bash, "--norc", "-c", script)
	cmd.Env = append(cmd.Environ(), "PATH="+filepath.Dir(emulatortest.Binary(t))+":/usr/bin:/bin")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "resume")
	require.Contains(t, string(out), "retract")
}
