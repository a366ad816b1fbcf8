package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestACheckSaysTheAnswerAndItsCause(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.replay(created("1", "2024-01-01T00:00:00Z", "t_a", "th_1"),
		event("m", "nexus.tenant.moved.v1", "2024-01-02T00:00:00Z", `{"from_tenant_id":"t_a","to_tenant_id":"t_b","actor":"alice","reason":"merger"}`))

	yes := c.run(exitDone, "check", "t_b", "thread", "th_1").Stdout.String()
	require.Contains(t, yes, "yes: it is owned by t_b since 2024-01-02T00:00:00Z: tenant moved from t_a to t_b\n  event m of //")
	require.Contains(t, yes, ", by alice: merger\n")
	no := c.run(exitFault, "check", "t_a", "thread", "th_1")
	require.Contains(t, no.Stdout.String(), "no: it is owned by t_b since")
	require.Contains(t, no.Stdout.String(), "next: registry-worker inspect thread th_1")
	require.Contains(t, no.Stderr.String(), "check: access is denied")
	missing := decoded[checked](t, c.run(exitFault, "check", "t_a", "canvas", "c", "--json").Stdout.String())
	require.Equal(t, "it is not registered", missing.Cause)
	require.Equal(t, 404, missing.HTTP)
	require.False(t, missing.Allowed)
	require.NotContains(t, no.Stderr.String(), "access refused", "a verifier's log line says nothing more")
	require.Contains(t, c.run(exitDone, "check", "t_b", "thread/th_1").Stdout.String(), "yes: ", "as other commands print a resource")
	for _, args := range [][]string{{"t_a", "thread"}, {"t_a"}, {"t_a", "th_1"}, {"T", "thread", "x"}, {"t_a", "folder", "x"}, {"t_a", "thread", ".."}} {
		c.run(exitUsage, append([]string{"check"}, args...)...)
	}
}

func TestInspectSaysWhoOwnedItThenRetractedMovesIncluded(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.replay(created("1", "2024-01-01T00:00:00Z", "t_a", "th_1"),
		event("n", "nexus.tenant.moved.v1", "2024-03-01T00:00:00Z", `{"from_tenant_id":"t_b","to_tenant_id":"t_c","resources":[{"kind":"thread","id":"th_1"}]}`),
		tenantMoved("m", "2024-02-01T00:00:00Z", "t_a", "t_b"))
	c.run(exitDone, "moves", "start", "--from", "t_c", "--to", "t_d", "--id", "friday", "--by", "alice", "--reason", "oops", "--yes")
	between := time.Now().UTC().Format(time.RFC3339Nano)
	c.run(exitDone, "moves", "retract", "friday", "--by", "bob", "--reason", "wrong tenant", "--yes")
	then := func(at string) then {
		t.Helper()
		return *decoded[inspection](t, c.run(exitDone, "inspect", "--at", at, "--json", "thread", "th_1").Stdout.String()).Then
	}

	require.Empty(t, then("2023-12-31T00:00:00Z").Owner)
	require.Equal(t, "t_a", then("2024-01-15T00:00:00Z").Owner)
	february := then("2024-02-15T00:00:00Z")
	require.Equal(t, "t_a", february.Owner, "the registry learned of the move today")
	require.Contains(t, february.Unsure[0], `the move m from t_a to t_b has a time from before, but came, or was changed, at`)
	friday := then(between)
	require.Equal(t, "t_d", friday.Owner)
	require.Equal(t, "bob", friday.Retracted[0].By)
	now := then("1ms")
	require.Equal(t, "t_c", now.Owner)
	require.Empty(t, now.Retracted)

	text := c.run(exitDone, "inspect", "--at", between, "thread", "th_1").Stdout.String()
	require.Contains(t, text, "thread/th_1: owned by t_d\n")
	require.Contains(t, text, "the move friday counted then, and was retracted")
	require.Contains(t, text, "by bob: wrong tenant")
	require.Contains(t, text, "thread/th_1: owned by t_c\n", "and who owns it now")
	require.NotContains(t, text, "not certain", "the move m would make no difference, with it or without")
	require.Contains(t, c.run(exitUsage, "inspect", "--at", "tomorrow", "thread", "th_1").Stderr.String(), "want a time such as")
}
