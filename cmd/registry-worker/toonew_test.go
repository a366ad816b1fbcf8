package main

import (
	"net/http"
	"testing"

	"cloud.google.com/go/firestore"
	"github.com/stretchr/testify/require"
)

// alter sets a field as a later release may, in the first document of a collection
// that has the value in the other field.
func (c program) alter(collection, name, field string, value any) {
	c.t.Helper()
	client, err := firestore.NewClient(c.t.Context(), c.project.ID, c.project.FirestoreOptions()...)
	require.NoError(c.t, err)
	defer client.Close()
	_, err = client.Collection(collection).Doc(name).Update(c.t.Context(), []firestore.Update{{Path: field, Value: value}})
	require.NoError(c.t, err)
}

func TestADocumentThatIsNotUnderstoodIsNamedByEveryCommandAndStopsNoOther(t *testing.T) {
	t.Parallel() // it mostly waits
	c := onEmulators(t)
	c.run(exitDone, "replay", "--yes", write(t, created("1", "2024-01-01T00:00:00Z", "t_a", "th_1"), created("2", "2024-01-01T00:00:00Z", "t_a", "th_2")))
	c.alter("realtime_registry", "thread__th_1", "format", 9)
	for _, args := range [][]string{{"export"}, {"export", "--check"}, {"export", "--events"}} {
		p := c.run(exitFault, args...)
		require.Contains(t, p.Stderr.String(), "document thread__th_1: ", args)
		require.Contains(t, p.Stderr.String(), "1 document is left out", args)
		require.NotContains(t, p.Stdout.String(), "th_1")
	}
	require.Contains(t, c.run(exitFault, "inspect", "thread", "th_1").Stderr.String(), "docs/upgrades.md")
	c.run(exitDone, "inspect", "thread", "th_2")
	require.Contains(t, c.run(exitDone, "moves", "plan", "--from", "t_a", "--to", "t_b").Stdout.String(), "1 document cannot be told of")
	c.run(exitFault, "replay", "--yes", write(t, created("1", "2024-01-01T00:00:00Z", "t_a", "th_1")))

	_, url := c.service("serve")
	require.Equal(t, http.StatusServiceUnavailable, get(t, url+"/v1/threads/th_1/access", "t_a"))
	require.Equal(t, http.StatusServiceUnavailable, get(t, url+"/v1/threads/th_1/access", "t_b"))
	require.Equal(t, http.StatusNoContent, get(t, url+"/v1/threads/th_2/access", "t_a"))
	require.Equal(t, http.StatusServiceUnavailable, do(t, http.MethodPut, url+"/v1/threads/th_1", "t_a"))
}

func TestALedgerEntryThatIsNotUnderstoodStopsChecksAndNothingElse(t *testing.T) {
	t.Parallel() // it mostly waits
	c := onEmulators(t)
	c.run(exitDone, "replay", "--yes", write(t, created("1", "2024-01-01T00:00:00Z", "t_a", "th_1"), tenantMoved("m", "2024-01-02T00:00:00Z", "t_x", "t_y")))
	for name := range rawDocuments(t, c, "realtime_registry_ledger") {
		c.alter("realtime_registry_ledger", name, "format", 9)
	}
	_, url := c.service("serve")
	require.Equal(t, http.StatusServiceUnavailable, get(t, url+"/v1/threads/th_1/access", "t_a"))
	require.Equal(t, http.StatusServiceUnavailable, get(t, url+"/v1/threads/none/access", "t_a"), "whether it exists or not")
	require.Equal(t, http.StatusNoContent, do(t, http.MethodPost, url+"/v1/quota/send/take", "t_a"))
	require.Equal(t, http.StatusOK, get(t, url+"/livez", ""))
	c.run(exitDone, "provision")
	c.run(exitDone, "dead-letters", "list")
	list := c.run(exitDone, "moves", "list")
	require.Contains(t, list.Stdout.String(), "not understood")
	require.Contains(t, list.Stderr.String(), "realtime_registry_ledger/")
	require.Contains(t, c.run(exitDone, "moves", "list", "--json").Stdout.String(), `"unread":"document realtime_registry_ledger/`)
	c.run(exitFault, "moves", "retract", "m", "--yes")
	require.Contains(t, c.run(exitFault, "inspect", "thread", "th_1").Stderr.String(), "docs/upgrades.md")
	c.run(exitFault, "export", "--events")
}
