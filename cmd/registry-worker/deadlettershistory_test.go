package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/actions"
)

func TestWhoPurgedAndWhoRedroveIsKeptWithTheReason(t *testing.T) {
	t.Parallel()
	c := withLetters(t, 2)
	c.bury("malformed", "m")
	require.Contains(t, c.run(exitDone, "dead-letters", "history").Stderr.String(), "nobody has")

	require.Contains(t, c.run(exitDone, "dead-letters", "list", "--reason", "conflict", "--json").Stdout.String(), `"next":"another tenant has it`)

	c.run(exitDone, "dead-letters", "purge", "--dry-run")
	purged := c.run(exitDone, "dead-letters", "purge", "--reason", "malformed", "--by", "alice", "--comment", "publisher fixed, 4711", "--yes")
	require.Contains(t, purged.Stderr.String(), `msg="dead letters discarded" letters=1 `)
	require.Contains(t, purged.Stderr.String(), `by=alice comment="publisher fixed, 4711"`)
	c.run(exitDone, "dead-letters", "redrive", "--by", "bob", "--limit", "1", "--yes")

	var did []actions.Action
	for line := range strings.Lines(c.run(exitDone, "dead-letters", "history", "--json").Stdout.String()) {
		var a actions.Action
		require.NoError(t, json.Unmarshal([]byte(line), &a))
		require.NotNil(t, a.Ended)
		require.Empty(t, a.Failure)
		did = append(did, a)
	}
	require.Len(t, did, 2, "a dry run is none")
	require.Equal(t, []any{actions.Redrive, "bob", "", "--limit 1", 1}, []any{did[0].Did, did[0].By, did[0].Comment, did[0].Which, did[0].Letters})
	require.Equal(t, []any{actions.Purge, "alice", "publisher fixed, 4711", "--reason malformed", map[string]int{"malformed": 1}},
		[]any{did[1].Did, did[1].By, did[1].Comment, did[1].Which, did[1].Reasons})
	text := c.run(exitDone, "dead-letters", "history", "--limit", "1").Stdout.String()
	require.Contains(t, text, "1 conflict")
	require.NotContains(t, text, "alice")
}

func TestNothingIsDiscardedIfItCannotBeNoted(t *testing.T) {
	t.Parallel()
	c := withLetters(t, 1)
	c.project.FirestoreHost = "127.0.0.1:1"
	require.Contains(t, c.run(exitFault, "dead-letters", "purge", "--yes").Stderr.String(), "nothing was done, since who does it could not be noted")
	require.Contains(t, c.run(exitDone, "dead-letters", "count").Stdout.String(), "conflict")
}
