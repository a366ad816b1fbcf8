package limits_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

func TestTheMoreSpecificPolicyHolds(t *testing.T) {
	set := limits.NewPolicySet(limits.Policies{List: []limits.Policy{
		{Limit: 1}, {Action: "b", Limit: 2}, {Tenant: "t_a", Limit: 3}, {Tenant: "t_a", Action: "b", Limit: 4},
	}}, limits.Policies{List: []limits.Policy{{Action: "c", Limit: 5}}})
	for k, limit := range map[limits.Key]int64{
		{Tenant: "t_x", Action: "x"}: 1, {Tenant: "t_x", Action: "b"}: 2, {Tenant: "t_a", Action: "x"}: 3,
		{Tenant: "t_a", Action: "b"}: 4, {Tenant: "t_x", Action: "c"}: 5, {Tenant: "t_a", Action: "c"}: 3,
	} {
		require.Equal(t, limit, set.Of(k).Limit, k)
	}
	require.Equal(t, limits.DefaultPolicy(), limits.PolicySet{}.Of(limits.Key{Tenant: "t_acme", Action: "chat_send"}))
	require.Equal(t, []string{"b", "c"}, set.Actions())
}

func TestAPolicyFileIsReadWhole(t *testing.T) {
	policies, err := limits.ParsePolicies("policies.yaml", []byte(`
policies:
  - limit: 50
  - {action: stream_resume, limit: 1000, window: 10s}
  - tenant: t_acme
    action: chat_send
    limit: 5000
    window: 1h30m
    shadow: true
`))
	require.NoError(t, err)
	require.Equal(t, []limits.Policy{
		{Limit: 50, Window: time.Minute},
		{Action: "stream_resume", Limit: 1000, Window: 10 * time.Second},
		{Tenant: "t_acme", Action: "chat_send", Limit: 5000, Window: 90 * time.Minute, Shadow: true},
	}, policies.List)
	require.False(t, policies.ActionsClosed)
	policies, err = limits.ParsePolicies("closed", []byte("actions: closed\npolicies:\n  - {action: \"on\", limit: 0000001}\n"))
	require.Error(t, err)
	require.Zero(t, policies)
	policies, err = limits.ParsePolicies("closed", []byte("actions: closed\npolicies:\n  - {action: \"on\", limit: 1}\n  - {action: all-actions, limit: &n 100}\n  - {action: x, limit: *n}\n"))
	require.NoError(t, err)
	require.True(t, policies.ActionsClosed)
	require.Equal(t, []limits.Policy{
		{Action: "on", Limit: 1, Window: time.Minute}, {Action: limits.TotalAction, Limit: 100, Window: time.Minute}, {Action: "x", Limit: 100, Window: time.Minute},
	}, policies.List)
	policies, err = limits.ParsePolicies("none", []byte("policies: []\n"))
	require.NoError(t, err)
	require.Empty(t, policies.List)
}
