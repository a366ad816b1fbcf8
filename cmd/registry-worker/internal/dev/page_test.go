package dev

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

func TestWhyTellsEachStep(t *testing.T) {
	entry := func(kind ownership.EntryType, id string, tenant, from, to string) ownership.Entry {
		source := "s"
		if id == "" {
			source = ""
		}
		return ownership.Entry{Type: kind, Version: ownership.Version{Time: time.Unix(1, 0), Source: source, ID: id}, Tenant: tenant, From: from, To: to}
	}
	claim := ownership.ClaimEntry("t_a", registry.Resource{Kind: registry.Thread, ID: "x"}, time.Unix(1, 0))
	for _, c := range []struct {
		step ownership.Step
		want string
	}{
		{ownership.Step{Entry: claim}, "claimed by t_a"},
		{ownership.Step{Entry: entry(ownership.Created, "1", "t_a", "", "")}, "created by t_a"},
		{ownership.Step{Entry: entry(ownership.Asserted, "", "t_b", "", "")}, "set to t_b from outside"},
		{ownership.Step{Entry: entry(ownership.Moved, "2", "", "t_a", "t_b"), Effective: true}, "moved to t_b"},
		{ownership.Step{Entry: entry(ownership.Moved, "2", "", "t_a", "t_b")}, "a move from t_a to t_b had no effect"},
		{ownership.Step{Entry: entry(ownership.Moved, "3", "", "t_a", "t_b"), Ledger: true, Effective: true}, "everything of t_a moved to t_b"},
	} {
		require.Equal(t, c.want, why([]ownership.Step{c.step}))
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
