package config_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
)

// page is docs/configuration.md.
const page = "../../../../docs/configuration.md"

// The page is made from the table of settings: UPDATE_DOCS=1 writes it.
func TestTheConfigurationsPageIsTheTable(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Configuration\n\n" +
		"Every flag of `registry-worker`, by what it is about. Nearly every one is also an environment variable; the flag wins. A variable that is empty counts as not set. " +
		"What only a flag says (the answer to a question, which dead letters) has no variable: it is of one call. Which flags a command takes, its `--help` says; " +
		"`registry-worker config` prints what takes effect, and where it came from.\n\n" +
		"This page is made from the code: `UPDATE_DOCS=1 go test ./cmd/registry-worker/internal/config`.\n")
	cell := strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`)
	for _, group := range config.Groups() {
		fmt.Fprintf(&b, "\n## %s\n\n| flag | variable | default | |\n| --- | --- | --- | --- |\n", group)
		for _, s := range config.Settings() {
			if s.Group != group {
				continue
			}
			variable, value := "–", "–"
			if !s.FlagOnly {
				variable = "`" + s.Env + "`"
			}
			if s.Default != "" {
				value = "`" + s.Default + "`"
			}
			if s.OnEmulator != "" {
				value += "; with the emulator `" + s.OnEmulator + "`"
			}
			fmt.Fprintf(&b, "| `--%s` | %s | %s | %s |\n", s.Name, variable, value, cell.Replace(s.Help))
		}
	}
	if os.Getenv("UPDATE_DOCS") != "" {
		require.NoError(t, os.WriteFile(page, []byte(b.String()), 0o644))
	}
	have, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Equal(t, b.String(), string(have), "UPDATE_DOCS=1 go test ./cmd/registry-worker/internal/config writes it")
}
