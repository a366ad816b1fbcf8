package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

func TestWhatASecondOperatorSaysOfARetractionIsKeptBesideTheFirst(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.replay(tenantMoved("m", "2024-01-02T00:00:00Z", "t_a", "t_b"))
	retract := func(args ...string) string {
		t.Helper()
		return c.run(exitDone, append([]string{"moves", "retract", "m", "--yes"}, args...)...).Stderr.String()
	}
	require.Contains(t, retract("--by", "alice", "--reason", "wrong tenant"), "retracted; documents follow")
	before := c.export()
	require.NotContains(t, retract(), "kept", "who says nothing is told, and leaves no record")
	second := retract("--by", "bob", "--reason", "asked for twice")
	require.Contains(t, second, "by alice: wrong tenant already")
	require.Contains(t, second, "kept beside what was said before")

	third := decoded[retracted](t, c.run(exitDone, "moves", "retract", "m", "--source", "//test", "--yes", "--json").Stdout.String())
	require.Equal(t, retracted{"m", "//test", "t_a", "t_b", "retracted_before", false, []string{"registry-worker moves verify m --source //test --wait"}}, third)
	c.replay(tenantMoved("n", "2024-01-02T00:00:00Z", "t_a", "t_b"))
	first := decoded[retracted](t, c.run(exitDone, "moves", "retract", "n", "--yes", "--json").Stdout.String())
	require.Equal(t, retracted{"n", "//test", "t_a", "t_b", "retracted", true, []string{"registry-worker moves verify n --wait"}}, first)

	m := c.rewriting()["m"]
	require.Equal(t, "alice", m.RetractedBy, "the first stays the first")
	require.Len(t, m.Retractions, 2)
	require.Equal(t, []string{"alice", "wrong tenant"}, []string{m.Retractions[0].By, m.Retractions[0].Why})
	require.Equal(t, []string{"bob", "asked for twice"}, []string{m.Retractions[1].By, m.Retractions[1].Why})
	require.False(t, m.Retractions[1].At.Before(m.Retractions[0].At))
	require.Equal(t, before, c.export(), "nothing that counts has changed")
	require.Contains(t, c.run(exitDone, "moves", "list").Stdout.String(), "by bob: asked for twice")
}

func TestWhoRetractsIsBoundedAndPrintable(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.replay(tenantMoved("m", "2024-01-02T00:00:00Z", "t_a", "t_b"))
	for name, args := range map[string][]string{
		"a long name":   {"--by", strings.Repeat("k", ownership.MaxByBytes+1)},
		"a forged row":  {"--by", "kim\n2026-01-01T00:00:00Z  t_a  t_b  counts"},
		"an escape":     {"--by", "\x1b[1A\x1b[2K"},
		"a bidi mark":   {"--by", "kim\u202e"},
		"a long reason": {"--reason", strings.Repeat("w", ownership.MaxNoteBytes+1)},
		"a torn reason": {"--reason", "caf\xc3"},
	} {
		t.Run(name, func(t *testing.T) {
			p := c.run(exitUsage, append([]string{"moves", "retract", "m", "--yes"}, args...)...)
			require.Contains(t, p.Stderr.String(), args[0])
		})
	}
	require.False(t, c.rewriting()["m"].Retracted, "nothing was retracted")
	c.run(exitDone, "moves", "retract", "m", "--yes", "--by", strings.Repeat("k", ownership.MaxByBytes))
	require.Len(t, c.rewriting()["m"].RetractedBy, ownership.MaxByBytes)
}
