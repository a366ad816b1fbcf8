package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	client "cloud.google.com/go/firestore"
	"github.com/stretchr/testify/require"
	"google.golang.org/api/iterator"

	"github.com/northstar-engines/realtime-registry/internal/erasure"
)

// everythingStored is all documents of the database, as text, by name.
func (c program) everythingStored() map[string]string {
	c.t.Helper()
	db, err := client.NewClient(c.t.Context(), c.project.ID, c.project.FirestoreOptions()...)
	require.NoError(c.t, err)
	defer db.Close()
	all := map[string]string{}
	for collections := db.Collections(c.t.Context()); ; {
		collection, err := collections.Next()
		if err == iterator.Done {
			return all
		}
		require.NoError(c.t, err)
		documents, err := collection.Documents(c.t.Context()).GetAll()
		require.NoError(c.t, err)
		for _, d := range documents {
			all[collection.ID+"/"+d.Ref.ID] = fmt.Sprint(d.Data())
		}
	}
}

func (c program) namesOf(text string) (found []string) {
	c.t.Helper()
	all := c.everythingStored()
	require.NotEmpty(c.t, all)
	for name, data := range all {
		if strings.Contains(name, text) || strings.Contains(data, text) {
			found = append(found, name+": "+data)
		}
	}
	return found
}

func TestAnErasedTenantIsNowhereInFirestore(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.run(exitDone, "provision")
	lines := append(threads("t_left", "th", 300),
		created("b", "2024-01-01T00:00:00Z", "t_else", "th_else"),
		created("g", "2024-01-01T00:00:00Z", "t_left", "th_given"),
		event("m", "nexus.tenant.moved.v1", "2024-01-03T00:00:00Z", `{"from_tenant_id":"t_left","to_tenant_id":"t_else","resources":[{"kind":"thread","id":"th_given"}],"reason":"a gift of t_left"}`))
	c.replay(lines...)
	c.setPlain("canvas__plain", "t_left")
	worker, url := c.service("run", "--api")
	require.Equal(t, 204, get(t, url+"/v1/threads/th_00001/access", "t_left"))
	require.Equal(t, 204, do(t, "POST", url+"/v1/quota/chat_send/take", "t_left"))

	c.run(exitDone, "moves", "start", "--yes", "--from", "t_left", "--to", "t_nobody", "--kind", "canvas")
	dry := c.run(exitDone, "tenants", "erase", "--dry-run", "t_left").Stdout.String()
	require.Contains(t, dry, "302 documents that t_left owns, or had: ")
	require.NotEmpty(t, c.namesOf("t_left"))
	require.Contains(t, c.run(exitUsage, "tenants", "erase", "t_left").Stderr.String(), "--yes", "it asks, and nobody answers")
	require.Equal(t, 204, get(t, url+"/v1/threads/th_00001/access", "t_left"), "nothing was changed")

	for _, args := range [][]string{{"--dry-run"}, {"--yes"}} {
		refused := c.run(exitFault, append([]string{"tenants", "erase", "t_lfet"}, args...)...).Stderr.String()
		require.Contains(t, refused, "the registry knows nothing of t_lfet")
	}
	require.Empty(t, c.namesOf("erased/"), "nothing was changed")
	require.Equal(t, 201, do(t, "PUT", url+"/v1/threads/th_lfet", "t_lfet"), "the name can be used")

	killed := c.start("tenants", "erase", "--yes", "--rate", "20", "t_left")
	require.Eventually(t, func() bool { return get(t, url+"/v1/threads/th_00000/access", "t_left") == 404 }, 30*time.Second, 20*time.Millisecond)
	killed.Kill()
	killed.Wait(30 * time.Second)
	require.NotEmpty(t, c.namesOf("t_left"))

	var r struct {
		Documents, Deleted int
		Searched           int64
		Left               []string
		Pseudonym          string
	}
	p := c.run(exitDone, "tenants", "erase", "--yes", "--json", "--rate", "unlimited", "--reason", "ticket 4711", "t_left")
	require.NoError(t, json.Unmarshal([]byte(p.Stdout.String()), &r))
	require.Contains(t, p.Stderr.String(), "waiting until no process is left", "each step is told of")
	require.Positive(t, r.Documents)
	require.GreaterOrEqual(t, r.Searched, int64(304))
	require.Empty(t, r.Left)
	require.Empty(t, c.namesOf("t_left"))
	require.NotEmpty(t, c.namesOf(r.Pseudonym))

	require.Equal(t, 404, get(t, url+"/v1/threads/th_00001/access", "t_left"))
	require.Equal(t, 204, get(t, url+"/v1/threads/th_given/access", "t_else"), "what it gave away stays")
	require.Equal(t, 204, get(t, url+"/v1/threads/th_else/access", "t_else"))
	require.Equal(t, 409, do(t, "PUT", url+"/v1/threads/th_new", "t_left"))
	c.run(exitDone, "publish", write(t, lines...))
	c.run(exitDone, "publish", write(t, created("late", "2024-02-01T00:00:00Z", "t_left", "th_late")))
	require.Eventually(t, func() bool {
		return strings.Contains(c.run(exitDone, "inspect", "thread", "th_late").Stdout.String(), r.Pseudonym)
	}, 30*time.Second, 20*time.Millisecond)
	require.Empty(t, c.export("--check"))
	worker.Signal(syscall.SIGTERM)
	worker.Wait(30 * time.Second)
	require.Empty(t, c.namesOf("t_left"), "what comes late is under the other name")
}

func TestEachStepOfAnErasureIsToldOfAtOnce(t *testing.T) {
	var out strings.Builder
	steps := erasureSteps{out: &out}
	for _, step := range []erasure.Step{erasure.ReadLedger, erasure.Documents, erasure.Wait, erasure.Documents, erasure.Moves, erasure.Beside, erasure.Search} {
		before := out.Len()
		for done := range int64(3) {
			steps.at(erasure.Progress{Step: step, Done: done, Total: 3})
		}
		require.Equal(t, stepTexts[step].begins+"\n", out.String()[before:])
	}
	steps.bar.began, steps.bar.told = steps.bar.began.Add(-time.Minute), steps.bar.told.Add(-time.Minute)
	steps.at(erasure.Progress{Step: erasure.Search, Done: 1, Total: 3})
	require.Contains(t, out.String(), "1 document searched, ")
}
