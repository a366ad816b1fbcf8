package dev

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
)

func TestWhyTellsEachStep(t *testing.T) {
	entry := func(kind registry.EntryType, id string, tenant, from, to string) registry.Entry {
		source := "s"
		if id == "" {
			source = ""
		}
		return registry.Entry{Type: kind, Version: registry.Version{Time: time.Unix(1, 0), Source: source, ID: id}, Tenant: tenant, From: from, To: to}
	}
	claim := registry.ClaimEntry("t_a", registry.Resource{Kind: registry.Thread, ID: "x"}, time.Unix(1, 0))
	for _, c := range []struct {
		step registry.Step
		want string
	}{
		{registry.Step{Entry: claim}, "claimed by t_a"},
		{registry.Step{Entry: entry(registry.Created, "1", "t_a", "", "")}, "created by t_a"},
		{registry.Step{Entry: entry(registry.Asserted, "", "t_b", "", "")}, "set to t_b from outside"},
		{registry.Step{Entry: entry(registry.Moved, "2", "", "t_a", "t_b"), Effective: true}, "moved to t_b"},
		{registry.Step{Entry: entry(registry.Moved, "2", "", "t_a", "t_b")}, "a move from t_a to t_b had no effect"},
		{registry.Step{Entry: entry(registry.Moved, "3", "", "t_a", "t_b"), Ledger: true, Effective: true}, "everything of t_a moved to t_b"},
	} {
		require.Equal(t, c.want, why([]registry.Step{c.step}))
	}
	require.Equal(t, "never registered", why(nil))
}

func TestRequestsGoWhereTheListenerIs(t *testing.T) {
	for address, url := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080",
		"[::1]:8080":     "http://[::1]:8080",
		"0.0.0.0:8080":   "http://127.0.0.1:8080",
		"[::]:8080":      "http://127.0.0.1:8080",
	} {
		require.Equal(t, url, API{Address: address}.URL())
	}
}

func TestHeadingsStandOutOnATerminalOnly(t *testing.T) {
	var plain, bold bytes.Buffer
	Page{Out: &plain}.Notes("Go on", "a", "", "b")
	Page{Out: &bold, Bold: true}.Notes("Go on")
	require.Equal(t, "\nGo on\n  a\n\n  b\n", plain.String())
	require.Contains(t, bold.String(), "\x1b[1mGo on\x1b[0m")
}
