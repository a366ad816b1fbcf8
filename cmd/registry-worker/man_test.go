package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

func TestEachCommandHasAManPageWithItsFlags(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "share", "man1")
	require.Contains(t, call(t, nil, "man", dir).stdout, "pages in "+dir)
	page := func(command string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, pageName(command)+".1"))
		require.NoError(t, err)
		return string(text)
	}
	var visit func(all []command)
	visit = func(all []command) {
		for _, c := range all {
			text := page(c.Name)
			require.Contains(t, text, "registry-worker "+c.Name, c.Name)
			for _, s := range config.In(c.Groups) {
				require.Contains(t, text, `\fB--`+s.Name+`\fP`, c.Name)
			}
			for _, example := range c.Examples {
				require.Contains(t, text, example, "%s: as it is to be typed", c.Name)
			}
			for _, sub := range c.Sub {
				require.Contains(t, text, pageName(sub.Name), c.Name)
			}
			visit(c.Sub)
		}
	}
	visit(commands())
	require.Contains(t, page(""), "registry-worker-moves")
	require.Contains(t, page("completion"), "completion bash")
	require.Equal(t, exitUsage, call(t, nil, "man").code)
	require.Equal(t, exitFault, call(t, nil, "man", filepath.Join(dir, "registry-worker.1")).code)
}

func TestManPagesAreValid(t *testing.T) {
	groff, err := exec.LookPath("groff")
	if err != nil {
		emulatortest.NotInstalled(t, fmt.Errorf("%w: `make groff` installs it", err))
	}
	pages, err := manPages(commands())
	require.NoError(t, err)
	for name, text := range pages {
		file := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		out, err := exec.Command(groff, "-man", "-Kutf8", "-Tutf8", "-z", "-wall", "-Wbreak", file).CombinedOutput()
		require.NoError(t, err, string(out))
		require.Empty(t, string(out), name)
	}
}

func TestAManPageSaysWhatHelpSaysAndNotWhatMarkdownMakesOfIt(t *testing.T) {
	const text = "*a* **b** <c> [d](e) _f_ ~~g~~ | h"
	pages, err := manPages([]command{{Name: "x", Summary: "does x", Details: text + " `i_j`"}})
	require.NoError(t, err)
	require.Contains(t, pages["registry-worker-x.1"], text)
	require.Contains(t, pages["registry-worker-x.1"], "i_j")
}
