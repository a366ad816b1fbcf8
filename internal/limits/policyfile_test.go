package limits_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

func TestABadPolicyFileIsRefusedWithPlaceAndReason(t *testing.T) {
	for name, c := range map[string]struct{ text, fault string }{
		"unknown key":     {"policies:\n  - limit: 1\n    burst: 2\n", "f.yaml:3: invalid: burst: not a field"},
		"unknown section": {"polices: []\n", "f.yaml:1: invalid: the file must have the key policies"},
		"empty":           {"", "f.yaml:1: invalid: the file must have the key policies (if there are none, policies: [])"},
		"comment alone":   {"# nothing\n", "f.yaml:1: invalid: the file must"},
		"null":            {"---\n", "invalid: the file must"},
		"empty mapping":   {"{}\n", "f.yaml:1: invalid: the file must"},
		"key alone":       {"policies:\n", "f.yaml:1: invalid: policies must be a list"},
		"no mapping":      {"- limit: 1\n", "f.yaml:1: invalid: the file must"},
		"no list":         {"policies:\n  limit: 1\n", "f.yaml:2: invalid: policies must be a list"},
		"no policy":       {"policies:\n  - 7\n", "f.yaml:2: invalid: a policy must be a mapping"},
		"no limit":        {"policies:\n  - window: 60s\n", "f.yaml:2: invalid: limit is 0: must be 1 to 1000000000"},
		"limit of words":  {"policies:\n  - limit: many\n", "f.yaml:2: invalid: limit: is the string \"many\": must be a whole number"},
		"limit in parts":  {"policies:\n  - limit: 1.5\n", "f.yaml:2: invalid: limit: is 1.5"},
		"no unit":         {"policies:\n  - limit: 1\n    window: 60\n", "f.yaml:3: invalid: window: is 60: must be a duration with its unit"},
		"part of second":  {"policies:\n  - limit: 1\n    window: 1500ms\n", "f.yaml:2: invalid: window is 1.5s: must be whole seconds"},
		"window too long": {"policies:\n  - limit: 1\n    window: 1000h\n", "must be whole seconds, 1s to 720h"},
		"tenant":          {"policies:\n  - limit: 1\n    tenant: acme\n", "f.yaml:2: invalid: tenant \"acme\""},
		"empty tenant":    {"policies:\n  - limit: 1\n    tenant: \"\"\n", "f.yaml:3: invalid: tenant: is the string \"\": must be a tenant id"},
		"null action":     {"policies:\n  - limit: 1\n    action:\n", "f.yaml:3: invalid: action: is null: must be an action"},
		"action":          {"policies:\n  - limit: 1\n    action: a__b\n", "f.yaml:2: invalid: action \"a__b\""},
		"shadow":          {"policies:\n  - limit: 1\n    shadow: maybe\n", "f.yaml:3: invalid: shadow: is the string \"maybe\": must be true or false"},
		"same scope":      {"policies:\n  - limit: 1\n  - limit: 2\n", "f.yaml:3: invalid: a second policy for default; the first is at f.yaml:2"},
		"same key":        {"policies:\n  - limit: 1\n    limit: 2\n", "f.yaml:3: invalid: limit: given twice"},
		"no YAML":         {"policies: [\n", "f.yaml: invalid: yaml: line"},
		"octal":           {"policies:\n  - limit: 0100\n", "f.yaml:2: invalid: limit: is 0100: write a whole number in decimal digits"},
		"octal of 1.2":    {"policies:\n  - limit: 0o100\n", "f.yaml:2: invalid: limit: is 0o100: write"},
		"no octal at all": {"policies:\n  - limit: 0900\n", "f.yaml:2: invalid: limit: is 0900: write"},
		"hexadecimal":     {"policies:\n  - limit: 0x64\n", "f.yaml:2: invalid: limit: is 0x64: write"},
		"binary":          {"policies:\n  - limit: 0b11\n", "f.yaml:2: invalid: limit: is 0b11: write"},
		"underscores":     {"policies:\n  - limit: 1_000\n", "f.yaml:2: invalid: limit: is 1_000: write"},
		"exponent":        {"policies:\n  - limit: 1e3\n", "f.yaml:2: invalid: limit: is 1e3: write"},
		"point":           {"policies:\n  - limit: 100.0\n", "f.yaml:2: invalid: limit: is 100.0: write"},
		"sign":            {"policies:\n  - limit: +100\n", "f.yaml:2: invalid: limit: is +100: write"},
		"negative":        {"policies:\n  - limit: -1\n", "f.yaml:2: invalid: limit: is -1: write"},
		"infinite":        {"policies:\n  - limit: .inf\n", "f.yaml:2: invalid: limit: is .inf: write"},
		"no number":       {"policies:\n  - limit: .nan\n", "f.yaml:2: invalid: limit: is .nan: write"},
		"sexagesimal":     {"policies:\n  - limit: 1:40\n", "f.yaml:2: invalid: limit: is the string \"1:40\": must be a whole number"},
		"beyond int64":    {"policies:\n  - limit: 99999999999999999999\n", "f.yaml:2: invalid: limit: is "},
		"null limit":      {"policies:\n  - limit: ~\n", "f.yaml:2: invalid: limit: is null: must be a whole number"},
		"quoted limit":    {"policies:\n  - limit: \"100\"\n", "f.yaml:2: invalid: limit: is the string \"100\""},
		"tagged limit":    {"policies:\n  - limit: !!int \"0100\"\n", "f.yaml:2: invalid: limit: has the tag !!int: leave it out"},
		"list for limit":  {"policies:\n  - limit: [1]\n", "f.yaml:2: invalid: limit: must be a single value"},
		"merged":          {"policies:\n  - &a {limit: 1}\n  - {<<: *a, action: x}\n", "f.yaml:3: invalid: <<: must be a single value"},
		"yes":             {"policies:\n  - limit: 1\n    shadow: yes\n", "f.yaml:3: invalid: shadow: is yes, which is true or false to some readers"},
		"on":              {"policies:\n  - limit: 1\n    shadow: On\n", "f.yaml:3: invalid: shadow: is On, which"},
		"action of on":    {"policies:\n  - limit: 1\n    action: on\n", "f.yaml:3: invalid: action: is on, which is true or false"},
		"action of 1_000": {"policies:\n  - limit: 1\n    action: 1_000\n", "f.yaml:3: invalid: action: is 1_000: write"},
		"action of 1e3":   {"policies:\n  - limit: 1\n    action: 1e3\n", "f.yaml:3: invalid: action: is 1e3: write"},
		"window of date":  {"policies:\n  - limit: 1\n    window: 2026-01-01\n", "f.yaml:3: invalid: window: is 2026-01-01"},
		"window of clock": {"policies:\n  - limit: 1\n    window: 1:00\n", "f.yaml:3: invalid: window: is the string \"1:00\""},
		"negative window": {"policies:\n  - limit: 1\n    window: -60s\n", "f.yaml:2: invalid: window is -1m0s"},
		"null window":     {"policies:\n  - limit: 1\n    window:\n", "f.yaml:3: invalid: window: is null: must be a duration"},
		"other list":      {"policies: []\nactions: open\n", "f.yaml:2: invalid: actions: is the string \"open\": must be closed"},
		"list of actions": {"policies: []\nactions: [a, b]\n", "f.yaml:2: invalid: actions: must be a single value"},
		"null list":       {"policies: []\nactions:\n", "f.yaml:2: invalid: actions: is null: must be closed"},
		"closed twice":    {"actions: closed\nactions: closed\npolicies: []\n", "f.yaml:2: invalid: actions: given twice"},
		"policies twice":  {"policies: []\npolicies: []\n", "f.yaml:2: invalid: policies: given twice"},
		"closed alone":    {"actions: closed\n", "f.yaml:1: invalid: the file must have the key policies"},
		"in a policy":     {"policies:\n  - limit: 1\n    actions: closed\n", "f.yaml:3: invalid: actions: closes the list of actions: in a file it stands beside policies"},
		"two documents":   {"policies: []\n---\npolicies: []\n", "f.yaml: invalid: more than one"},
	} {
		t.Run(name, func(t *testing.T) {
			policies, err := limits.ParsePolicies("f.yaml", []byte(c.text))
			require.ErrorContains(t, err, c.fault)
			require.ErrorIs(t, err, limits.ErrInvalid)
			require.Empty(t, policies)
		})
	}
	_, err := limits.ParsePolicies("f.yaml", []byte("policies:\n  - limit: 0\n    x: 1\n  - limit: 1\n  - y: 2\n"))
	require.ErrorContains(t, err, ":3:")
	require.ErrorContains(t, err, ":5:", "every fault at once")
	_, err = limits.ParsePolicies("f.yaml", []byte("policies:\n  - {limit: 0, window: 0s, tenant: acme, action: a__b}\n"))
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, 4)
	for _, line := range lines {
		require.True(t, strings.HasPrefix(line, "f.yaml:2: invalid: "), line)
	}
}
