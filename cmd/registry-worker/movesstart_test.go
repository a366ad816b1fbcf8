package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// decoded is the one JSON object that a command prints.
func decoded[T any](t *testing.T, text string) (value T) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(text), &value), text)
	return value
}

func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

// Two operators migrate a tenant, and take it back. One of them is killed half-way,
// and so is the worker; who did what, and why, is found in all places.
func TestTwoOperatorsMigrateATenantAndBackAndOneIsKilledHalfWay(t *testing.T) {
	t.Parallel() // it waits until no writer can be left that does not know of the move
	c := onEmulators(t)
	c.run(exitDone, "provision")
	c.replay(append(threads("t_old", "a", 2000), threads("t_new", "b", 10)...)...)
	before := c.export()

	plan := c.run(exitDone, "moves", "plan", "--from", "t_old", "--to", "t_new", "--kind", "thread", "--json").Stdout.String()
	require.EqualValues(t, 2000, decoded[planned](t, plan).Threads)
	start := []string{"moves", "start", "--plan", file(t, plan), "--id", "friday", "--reason", "merger 4711", "--yes", "--json"}

	alice := c.start(append(start, "--by", "alice", "--rate", "250")...)
	owned := func() int { return strings.Count(c.export(), "t_new") }
	require.Eventually(t, func() bool { return owned() > 10 }, time.Minute, 50*time.Millisecond)
	alice.Kill()
	<-alice.Done()
	left := 2010 - owned()
	require.Positive(t, left, "she was half-way")

	require.Contains(t, c.run(exitFault, append(start, "--by", "bob")...).Stderr.String(), "the plan of ", "it was for all of them")
	bob := decoded[started](t, c.run(exitDone, "moves", "start", "--from", "t_old", "--to", "t_new", "--kind", "thread",
		"--id", "friday", "--reason", "merger 4711, alice's was killed", "--by", "bob", "--yes", "--json", "--rate", "unlimited").Stdout.String())
	require.LessOrEqual(t, bob.Threads, int64(left))
	friday := decoded[verified](t, c.run(exitDone, "moves", "verify", "friday", "--from", "t_old", "--to", "t_new", "--json").Stdout.String())
	require.True(t, friday.OK)
	require.EqualValues(t, 2000, friday.Threads)
	require.Zero(t, friday.Left)
	inspected := c.run(exitDone, "inspect", "thread", "a_00000").Stdout.String()
	require.Contains(t, inspected, "merger 4711")
	require.Regexp(t, "alice|bob", inspected)

	back := c.run(exitDone, "moves", "start", "--from", "t_new", "--to", "t_old", "--moved-by", "friday", "--id", "saturday",
		"--reason", "they changed their mind", "--by", "bob", "--yes", "--rate", "unlimited").Stdout.String()
	require.Contains(t, back, "moved: 2000 threads and 0 canvases from t_new to t_old, as saturday")
	require.Equal(t, before, c.export(), "t_new has what was its own")

	whole := []string{"moves", "start", "--from", "t_old", "--to", "t_new", "--id", "sunday", "--reason", "all of it, 4712", "--yes", "--json"}
	made := decoded[started](t, c.run(exitDone, append(whole, "--by", "alice")...).Stdout.String())
	require.Equal(t, "made", made.State)
	require.EqualValues(t, 2000, made.Threads)
	again := decoded[started](t, c.run(exitDone, append(whole, "--by", "bob")...).Stdout.String())
	require.Equal(t, []string{"made_before", "alice"}, []string{again.State, again.Actor})
	require.Contains(t, c.run(exitFault, "moves", "start", "--from", "t_new", "--to", "t_old", "--id", "sunday", "--yes").Stderr.String(), "another --id")
	require.Contains(t, c.run(exitFault, "moves", "verify", "sunday").Stdout.String(), "not verified; next: ")

	first := c.start("run", "--listen", "127.0.0.1:0", "--rate", "unlimited", "--log-format", "json")
	log := first.AwaitLine(`"msg":"rewriting begins"`, time.Minute)
	require.Contains(t, log, `"by":"alice","reason":"all of it, 4712"`)
	first.Kill()
	<-first.Done()
	second, _ := c.service("run", "--rate", "unlimited")
	done := decoded[verified](t, c.patient("moves", "verify", "sunday", "--wait", "--json"))
	require.True(t, done.OK)
	require.EqualValues(t, 2000, done.Threads)
	require.Equal(t, []string{"alice", "all of it, 4712"}, []string{done.Actor, done.Why})

	require.Contains(t, c.run(exitDone, "moves", "retract", "sunday", "--reason", "wrong tenant", "--by", "bob", "--yes").Stderr.String(), "moves verify sunday --wait")
	require.Contains(t, c.patient("moves", "verify", "sunday", "--wait"), "by bob: wrong tenant")
	require.Equal(t, before, c.export())
	require.Empty(t, c.export("--check"))
	require.Contains(t, second.AwaitLine(`"retracted":true`, time.Minute), `"by":"bob","reason":"wrong tenant"`)
	list := c.run(exitDone, "moves", "list").Stdout.String()
	for _, text := range []string{"alice", "all of it, 4712", "by bob: wrong tenant"} {
		require.Contains(t, list, text)
	}
}

func TestAListOfAnyLengthIsMovedAsFarAsTheTenantHasIt(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.replay(append(threads("t_old", "a", 1200), threads("t_other", "b", 1)...)...)
	var lines []string
	for i := range 1100 {
		lines = append(lines, fmt.Sprintf("thread/a_%05d", i))
	}
	list := file(t, strings.Join(append(lines, "# not theirs", "thread/b_00000", "thread/unknown", "thread__a_00000"), "\n"))
	plan := c.run(exitDone, "moves", "plan", "--from", "t_old", "--to", "t_new", "--resources", list).Stdout.String()
	require.Contains(t, plan, "1100 threads would change hands")
	require.Contains(t, plan, "2 that are named are not the old owner's, and would be left out")
	move := decoded[started](t, c.run(exitDone, "moves", "start", "--from", "t_old", "--to", "t_new", "--resources", list,
		"--id", "some", "--yes", "--json", "--rate", "unlimited").Stdout.String())
	require.EqualValues(t, 1100, move.Threads)
	require.Contains(t, move.Actor, "@", "who it was is kept, though --by was not given")
	require.Equal(t, 1100, strings.Count(c.export(), "t_new"))
	require.Contains(t, c.run(exitDone, "moves", "start", "--from", "t_old", "--to", "t_new", "--resources", list, "--yes").Stderr.String(), "there is nothing to move")

	for text, want := range map[string]string{"": "it names no resource", "thread/": "line 1: ", "x\nfolder/a": "line 1: ", "thread/a\nfolder/b": "line 2: "} {
		require.Contains(t, c.run(exitFault, "moves", "plan", "--from", "t_old", "--to", "t_new", "--resources", file(t, text)).Stderr.String(), want)
	}
	require.Contains(t, c.run(exitFault, "moves", "start", "--plan", list, "--yes").Stderr.String(), "want the output of `moves plan --json`")
}

func TestAMoveFromATenantOfWhichTheRegistryKnowsNothingIsRefused(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.replay(created("1", "2024-01-01T00:00:00Z", "t_old", "th_1"))
	start := func(code int, args ...string) string {
		return c.run(code, append([]string{"moves", "start", "--yes", "--id", "m"}, args...)...).Stderr.String()
	}
	for _, args := range [][]string{{"--from", "t_odl", "--to", "t_new"}, {"--from", "t_odl", "--to", "t_new", "--kind", "thread"}} {
		require.Contains(t, start(exitFault, args...), "the registry knows nothing of t_odl")
	}
	require.Empty(t, c.rewriting(), "nothing was changed")
	require.Contains(t, start(exitDone, "--from", "t_odl", "--to", "t_new", "--unknown"), "knows nothing of t_new yet: is it spelt right?")
	require.Contains(t, c.rewriting(), "m")
	require.NotContains(t, start(exitDone, "--id", "n", "--from", "t_new", "--to", "t_old"), "knows nothing", "a move names it now")
}
