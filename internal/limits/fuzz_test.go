package limits_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// A policy file gives policies of which each is valid and no two are for the same, or
// an error that names the file.
func FuzzPolicies(f *testing.F) {
	for _, text := range []string{
		"policies: []",
		"actions: closed\npolicies:\n  - limit: 100\n    window: 60s\n  - action: stream_resume\n    limit: 1000\n  - tenant: t_acme\n    action: all-actions\n    limit: 5000\n    window: 10s\n    shadow: true\n",
		"policies: [{limit: 0100}]", "policies: [{limit: 1_000}]", "policies: [{limit: 1e3}]", "policies: [{limit: 1:40}]", "policies: [{shadow: yes, limit: 1}]",
		"policies: [{limit: !!int 5}]", "policies: [{limit: \"5\"}]", "policies: [{limit: 9223372036854775808}]", "policies: [{window: 1h, limit: 1}, {limit: 2}]",
		"a: &a [*a]\npolicies: *a", "policies: &a [{limit: 1}, *a]", "policies: [{? {limit: 1} : 2}]", "x: 1", "", "---\n---\n", "# no more", "policies", "policies: [",
		"policies: [{<<: {limit: 1}}]", "policies: [{limit: &x 1, window: *x}]", "\ufeffpolicies: []", "policies: []\n---\npolicies: []", "null", "[]", "policies:\n\t- limit: 1",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		const file = "policies.yaml"
		parsed, err := limits.ParsePolicies(file, text)
		if err != nil {
			require.ErrorIs(t, err, limits.ErrInvalid)
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if strings.HasPrefix(line, file) {
					return
				}
			}
			t.Fatalf("the error does not name the file: %v", err)
		}
		set := limits.NewPolicySet(parsed)
		scopes := map[limits.Key]bool{}
		for _, p := range parsed.List {
			require.NoError(t, p.Validate())
			require.False(t, scopes[limits.Key{Tenant: p.Tenant, Action: p.Action}], "two for %s", p.Scope())
			scopes[limits.Key{Tenant: p.Tenant, Action: p.Action}] = true
			if p.Tenant != "" && p.Action != "" {
				require.Equal(t, p, set.Of(limits.Key{Tenant: p.Tenant, Action: p.Action}))
			}
		}
	})
}
