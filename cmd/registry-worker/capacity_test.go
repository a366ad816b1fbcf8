package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Behind each command of the page stands what it prints: UPDATE_DOCS=1 writes it.
func TestTheCapacityPageHoldsWhatTheCommandPrints(t *testing.T) {
	const page = "../../docs/capacity.md"
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	printed := regexp.MustCompile(`(?s)(<!-- registry-worker (capacity[^\n]*) -->\n\n).*?(<!-- end -->)`)
	commands := 0
	want := printed.ReplaceAllStringFunc(string(text), func(part string) string {
		commands++
		m := printed.FindStringSubmatch(part)
		r := call(t, nil, strings.Fields(m[2])...)
		require.Zero(t, r.code, r.stderr)
		return m[1] + r.stdout + "\n" + m[3]
	})
	require.Equal(t, 2, commands, "an installation of today, and one of the target's size")
	if os.Getenv("UPDATE_DOCS") != "" {
		require.NoError(t, os.WriteFile(page, []byte(want), 0o644))
	}
	require.Equal(t, want, string(text), "UPDATE_DOCS=1 go test ./cmd/registry-worker -run TestTheCapacityPage writes it")
}

func TestCapacityTakesWhatDescribesAnInstallation(t *testing.T) {
	usual := call(t, nil, "capacity")
	require.Zero(t, usual.code, usual.stderr)
	require.Contains(t, usual.stdout, "| open streams, read again within (`--max-age`) | 100,000, 24h0m0s |")
	require.Contains(t, call(t, nil, "capacity", "--max-age", "30s").stdout, "| open streams, read again | 11.52 billion |")
	require.Contains(t, call(t, nil, "capacity", "--max-age", "0").stdout, "| open streams, read again | 0 |")
	require.Contains(t, call(t, nil, "capacity", "--resources", "300e6").stdout, "| tenants, resources | 1 million, 300 million |")
	for flag, value := range map[string]string{"--cache-hits": "2", "--peak": "0", "--tenants": "-1", "--checks": "NaN", "--rewriting-rate": "0", "--worker-cpu": "0s"} {
		r := call(t, nil, "capacity", flag, value)
		require.Equal(t, exitUsage, r.code, flag)
		require.Empty(t, r.stdout)
	}
}
