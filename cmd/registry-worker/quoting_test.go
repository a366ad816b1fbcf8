package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What a publisher chose acts on nobody's terminal: it neither turns text around,
// nor clears a line, nor forges a row.
func TestEveryCommandQuotesWhatStrangersWrote(t *testing.T) {
	t.Parallel() // it mostly waits
	const turned, forged = "id-\u202eturned", "id-\x1b[2K\nforged"
	a := underAttack(t)
	a.create(turned, "t_a", "th_1", time.Now().Add(-2*time.Hour))
	a.await(func() bool { return a.owns("t_a", "th_1") }, "it is there")
	a.move(turned, time.Now().Add(-time.Hour), "t_a", "t_b")
	a.await(func() bool { return a.owns("t_b", "th_1") }, "it is moved")
	a.create(forged, "t_a", "th_2", time.Now())
	a.await(a.counted(1, "registry_dead_letters_total", `reason="malformed"`), "it is refused")

	shown := func(want string, args ...string) {
		t.Helper()
		p := a.run(exitDone, args...)
		said := p.Stdout.String() + p.Stderr.String()
		require.Contains(t, said, want, args)
		require.NotContains(t, said, "\u202e", args)
		require.NotContains(t, said, "\x1b", args)
		for line := range strings.Lines(said) {
			require.False(t, strings.HasPrefix(line, "forged"), "%s\n%s", args, said)
		}
	}
	shown(`"id-\u202eturned"`, "inspect", "thread", "th_1")
	shown(`"id-\u202eturned"`, "moves", "list")
	shown(`\u202e`, "moves", "list", "--json")
	shown(`"id-\x1b[2K\nforged"`, "dead-letters", "list")
	shown(`\u001b`, "dead-letters", "list", "--json")
	shown(`"id-\u202eturned"`, "moves", "retract", turned, "--yes")
}
