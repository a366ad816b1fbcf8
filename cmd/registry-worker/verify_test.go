package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVerifyNamesWhatOnlyTheArchiveAndWhatOnlyTheRegistryKnows(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	archive := write(t,
		created("1", "2024-01-01T00:00:00Z", "t_ada", "th_1"),
		created("2", "2024-01-02T00:00:00Z", "t_eve", "th_1"), // a conflict, which a worker refuses
		event("3", "nexus.canvas.created.v1", "2024-01-01T00:00:02Z", `{"tenant_id":"t_bob","canvas_id":"ca_1"}`),
		event("m", "nexus.tenant.moved.v1", "2024-01-03T00:00:00Z", `{"from_tenant_id":"t_bob","to_tenant_id":"t_ada"}`))
	c.run(exitFault, "replay", "--yes", archive) // it names the conflict
	same := c.run(exitDone, "verify", archive)
	require.Empty(t, same.Stdout.String())
	require.Contains(t, same.Stderr.String(), "archives and registry know the same")
	require.Contains(t, same.Stderr.String(), "1 line of the archives left out: conflict")

	_, url := c.service("serve")
	require.Equal(t, http.StatusCreated, do(t, http.MethodPut, url+"/v1/threads/th_2", "t_ada"))
	c.run(exitDone, "moves", "retract", "m", "--yes", "--by", "kim")
	other := write(t, event("4", "nexus.tenant.moved.v1", "2024-01-04T00:00:00Z",
		`{"from_tenant_id":"t_ada","to_tenant_id":"t_bob","resources":[{"kind":"thread","id":"th_1"}]}`))
	differs := c.run(exitFault, "verify", archive, other)
	require.Contains(t, differs.Stderr.String(), "1 event only the archives know, 2 events only the registry")
	lines := strings.Split(strings.TrimSpace(differs.Stdout.String()), "\n")
	require.Len(t, lines, 3)
	require.Equal(t, `archive only: thread/th_1: moved t_ada → t_bob (event 4 of //test, 2024-01-04T00:00:00Z)`, lines[0])
	require.Contains(t, lines[1], `registry only: tenant: retracted by kim (event m of //test, `)
	require.Contains(t, lines[2], `registry only: thread/th_2: claimed t_ada (event thread__th_2__t_ada of registry, `)

	var missing []string // what --json says can be replayed
	for line := range strings.Lines(c.run(exitFault, "verify", "--json", archive, other).Stdout.String()) {
		var difference struct {
			KnownBy string          `json:"known_by"`
			Event   json.RawMessage `json:"event"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &difference))
		require.Contains(t, []string{archiveKnows, registryKnows}, difference.KnownBy)
		missing = append(missing, string(difference.Event))
	}
	c.run(exitDone, "verify", "--before", "2024-01-04T00:00:00Z", archive, other)
	c.run(exitDone, "replay", "--yes", "--with-retractions", write(t, missing...))
	c.run(exitDone, "verify", archive, write(t, missing...))
}

// An archive was cut: in the middle of a line, or of all it has. What stood there is not
// known, so the comparison says so, and where.
func TestVerifyNamesWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	one, two := created("1", "2024-01-01T00:00:00Z", "t_ada", "th_1"), created("2", "2024-01-01T00:00:00Z", "t_ada", "th_2")
	c.replay(one, two)
	for name, test := range map[string]struct {
		text string
		says []string
	}{
		"cut":                 {one + "\n" + two[:40], []string{":2: no event: ", "1 line of the archives is no event", "0 events only the archives know, 1 event only the registry"}},
		"two files on a line": {one + two + "\n", []string{":1: no event: ", "this is no archive"}},
		"no archive":          {"# Notes\nbread\nmilk\n", []string{":1: no event: ", ":3: no event: ", "none of its 3 lines is an event: this is no archive, and nothing was compared"}},
		"many":                {one + "\n" + two + strings.Repeat("\nx", 30), []string{"30 lines of the archives are no events", "further lines are counted, and not named"}},
		"empty":               {"", []string{"there is no event in it: it is empty, and nothing was compared"}},
	} {
		t.Run(name, func(t *testing.T) {
			archive := file(t, test.text)
			got := c.run(exitFault, "verify", archive).Stderr.String()
			for _, says := range test.says {
				require.Contains(t, got, says)
			}
			require.Contains(t, got, archive)
			require.NotContains(t, got, "know the same")
			require.LessOrEqual(t, strings.Count(got, "no event: "), mostTorn)
		})
	}
	require.Contains(t, c.run(exitFault, "replay", "--yes", file(t, "")).Stderr.String(), "there is no event in it")
}

// A deletion keeps no event's name, and leaves no owner.
func TestADeletionIsNamedForWhatItIs(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	creation, other := created("1", "2024-01-01T00:00:00Z", "t_ada", "th_1"), created("2", "2024-01-01T00:00:00Z", "t_ada", "th_2")
	deletion := write(t, event("3", "nexus.thread.deleted.v1", "2024-01-02T00:00:00Z", `{"thread_id":"th_1"}`))
	c.replay(creation, other)
	dry := c.run(exitDone, "replay", "--dry-run", deletion)
	require.Contains(t, dry.Stdout.String(), "1 thread would be deleted\n  thread/th_1: t_ada → deleted, for good\n")
	require.NotContains(t, dry.Stdout.String(), "change hands")
	c.run(exitDone, "replay", "--yes", deletion)
	differs := c.run(exitFault, "verify", write(t, other))
	require.Equal(t, "registry only: thread/th_1: deleted (by no event whose name is kept, 2024-01-02T00:00:00Z)\n", differs.Stdout.String())
}
