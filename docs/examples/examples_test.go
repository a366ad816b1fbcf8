// Package examples holds the programs of the documentation against a registry
// that runs: worker and API in a real process, on the official emulators.
package examples

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// The Python package against the registry itself; its own tests have a fake.
func TestThePythonPackageBeforeARegistryThatRuns(t *testing.T) {
	t.Parallel()
	i := install(t)
	script := `
import asyncio, os, sys
from realtime_registry import AsyncClient, Client, Conflict, NotFound, Ownership, Unavailable
from realtime_registry.watching import Certified, Lost, State

def raises(error, call, *args):
    try:
        call(*args)
    except error:
        return
    sys.exit(f"{call} of {args} does not raise {error}")

client = Client()
assert client.claim("t_acme", "thread", "th_1") and not client.claim("t_acme", "thread", "th_1")
assert client.claim("t_acme", "canvas", "cv:~.@+=-_")
raises(Conflict, client.claim, "t_globex", "thread", "th_1")
client.check("t_acme", "thread", "th_1")
client.check("t_acme", "canvas", "cv:~.@+=-_")
raises(NotFound, client.check, "t_globex", "thread", "th_1")
raises(NotFound, client.check, "t_acme", "canvas", "th_1")
assert client.check_all("t_acme", [("thread", "th_1"), ("thread", "none"), ("canvas", "cv:~.@+=-_")]) == [True, False, True]
quota = client.take("t_acme", "chat_send", 3)
assert (quota.limit, quota.window) == (100, 60) and 0 < quota.remaining <= 97, quota # what an answer that was lost took counts too
raises(ValueError, client.take, "t_acme", "chat_send", 101)

# Processes that fork while they have connections, and several event loops.
async def ask(client, tenant, expected):
    for _ in range(50):
        got = await asyncio.gather(*(client.check(tenant, "thread", "th_1") for _ in range(4)), return_exceptions=True)
        assert all((type(g) is not NotFound) == expected and type(g) in (NotFound, type(None)) for g in got), got

forked = AsyncClient()
asyncio.run(forked.check("t_acme", "thread", "th_1"))
children = []
for tenant, expected in (("t_acme", True), ("t_globex", False)):
    if (child := os.fork()) == 0:
        try:
            asyncio.run(ask(forked, tenant, expected))
            raises(NotFound, client.check, "t_globex", "thread", "th_1")
            client.check("t_acme", "thread", "th_1")
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    children.append(child)
asyncio.run(ask(forked, "t_acme", True))
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]

with client.watch([Ownership("t_acme", "thread", "th_1"), Ownership("t_globex", "thread", "th_1")]) as watch:
    events = iter(watch)
    assert next(events) == State((1,))
    print("watching", flush=True)
    seen = []
    while not isinstance(event := next(events), Lost):
        seen.append(type(event))
    assert event == Lost((0,)) and Certified in seen, (event, seen)
`
	p := emulatortest.Run(t, i.env, emulatortest.Python(t, "httpx"), "-c", script)
	p.AwaitLine("watching", soon)
	moved := event("gone", "tenant.moved", time.Now().UTC().Format(time.RFC3339Nano), `{"from_tenant_id":"t_acme","to_tenant_id":"t_globex"}`)
	i.worker("publish", write(t, moved))
	i.done(p)
}

// A client that takes a stranger's answer for the registry's would answer its own
// client, or forget its outbox.
func TestAClaimIsMadeByTheRegistryAlone(t *testing.T) {
	t.Parallel()
	i := installation{t: t, env: append([]string{"GOOGLE_CLOUD_PROJECT=test", "PUBSUB_EMULATOR_HOST=" + nowhere}, pythonPath...)}
	list := write(t, "thread,th_1,t_acme")
	for _, code := range []int{http.StatusCreated, http.StatusNoContent, http.StatusOK, http.StatusConflict, http.StatusBadRequest} {
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
		env := []string{"REGISTRY_URL=" + other.URL, "DATABASE=" + filepath.Join(t.TempDir(), "db")}
		p := i.python(env, os.DevNull, "publisher.py", "t_acme", "th_1")
		require.Equal(t, 1, p.Wait(soon))
		require.Contains(t, p.Stderr.String(), "waits in the outbox", "%d", code)
		p = i.python(env, list, "backfill.py", "--claim")
		require.Equal(t, 1, p.Wait(soon))
		require.Contains(t, p.Stderr.String(), "is this the registry?", "%d", code)
		other.Close()
	}
}

// write makes a file with one line.
func write(t *testing.T, line string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lines")
	require.NoError(t, os.WriteFile(path, []byte(line+"\n"), 0o600))
	return path
}

func TestEventsOfOnesOwnArePublishedAndInspected(t *testing.T) {
	t.Parallel()
	i := install(t)
	for range 2 {
		i.worker("publish", "events.ndjson")
	}
	for _, id := range []string{"my-01", "my-02", "my-03"} {
		i.awaitEvent(id)
	}
	steps := i.worker("inspect", "thread", "th_first")
	require.Contains(t, steps, "owned by t_cleo")
	require.Contains(t, steps, "my-03")
	i.worker("moves", "retract", "my-03", "--yes")
	steps = i.worker("inspect", "thread", "th_first")
	require.Contains(t, steps, "owned by t_bob")
	require.NotContains(t, steps, "my-03", "what was taken back is in the list of moves alone")
	require.Contains(t, i.worker("moves", "list"), "my-03")

	// A claim, and the event of the same creation later: one ownership, one step.
	require.Equal(t, http.StatusCreated, i.ask(http.MethodPut, "t_ann", "/v1/threads/th_claimed"))
	file := filepath.Join(t.TempDir(), "events.ndjson")
	later := event("my-04", "thread.created", time.Now().Add(time.Second).UTC().Format(time.RFC3339Nano), `{"tenant_id":"t_ann","thread_id":"th_claimed"}`)
	marker := event("my-05", "thread.created", "2026-03-02T09:00:00Z", `{"tenant_id":"t_ann","thread_id":"th_marker"}`)
	require.NoError(t, os.WriteFile(file, []byte(later+"\n"+marker), 0o600))
	i.worker("publish", file)
	i.awaitEvent("my-05")
	require.NotContains(t, i.worker("inspect", "thread", "th_claimed"), "my-04")
}

func TestBackfillRegistersWhatExistedBefore(t *testing.T) {
	t.Parallel()
	i := install(t)
	directory := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(directory, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	list := file("owners.csv", "thread,th_1,t_acme\nthread,th_2,t_globex\ncanvas,cv:1,t_acme\n")
	const at = "2025-03-03T09:00:00Z"

	// By events, from a list: twice is harmless.
	for range 2 {
		events := file("backfill.ndjson", i.done(i.python(nil, list, "backfill.py", "--time", at)))
		i.worker("publish", events)
	}
	i.awaitEvent("backfill-canvas-cv:1")
	i.awaitEvent("backfill-thread-th_1")
	i.awaitEvent("backfill-thread-th_2")
	require.ElementsMatch(t,
		strings.Split(i.done(i.python(nil, list, "backfill.py", "--expect")), "\n"),
		strings.Split(i.worker("export"), "\n"))

	// By claims: what another tenant owns is named.
	more := file("more.csv", "thread,th_1,t_acme\nthread,th_2,t_acme\nthread,th_3,t_acme\n")
	p := i.python(nil, more, "backfill.py", "--claim")
	require.Equal(t, 1, p.Wait(soon))
	require.Equal(t, []string{"thread/th_2: not t_acme's but another tenant's"}, p.Stderr.Lines())
	require.Equal(t, http.StatusNoContent, i.status("t_acme", "th_3"))

	// What cannot be right is named, in one line.
	unnamed := file("unnamed.csv", "thread,th_1,t_acme\nthread,th_2\n")
	p = i.python(nil, unnamed, "backfill.py", "--expect")
	require.Equal(t, 1, p.Wait(soon))
	require.Equal(t, []string{"line 2: 'thread,th_2': want kind,id,tenant, the kind thread or canvas", "1 left out"}, p.Stderr.Lines())
	p = i.python([]string{"REGISTRY_URL=http://" + nowhere}, list, "backfill.py", "--claim")
	require.Equal(t, 1, p.Wait(soon))
	require.Len(t, p.Stderr.Lines(), 1)

	// From an old collection, of more than one page.
	client, err := firestore.NewClient(t.Context(), i.project.ID, i.project.FirestoreOptions()...)
	require.NoError(t, err)
	defer client.Close()
	const documents = 301
	writer := client.BulkWriter(t.Context())
	for n := range documents {
		_, err := writer.Create(client.Collection("old_threads").Doc(fmt.Sprintf("old_%d", n)), map[string]any{"tenant_id": "t_globex"})
		require.NoError(t, err)
	}
	writer.End()
	old := file("old.ndjson", i.done(i.python(nil, os.DevNull, "backfill.py", "--time", at, "--collection", "old_threads")))
	i.worker("publish", old)
	require.Eventually(t, func() bool {
		return strings.Count(i.worker("export"), `"id":"old_`) == documents
	}, soon, 50*time.Millisecond)
	i.worker("export", "--check")

	// Documents that name no owner are named, and hold up nothing. So in another
	// database.
	const database = "old-db"
	client, err = firestore.NewClientWithDatabase(t.Context(), i.project.ID, database, i.project.FirestoreOptions()...)
	require.NoError(t, err)
	defer client.Close()
	for id, fields := range map[string]map[string]any{
		"a1": {"tenant_id": "t_a"}, "a2": {"name": "x"}, "a3": {"tenant_id": 7}, "a4": {"tenant_id": "A"}, "a%415": {"tenant_id": "t_a"}, "a6": {"tenant_id": "t_a"},
	} {
		_, err := client.Collection("named").Doc(id).Set(t.Context(), fields)
		require.NoError(t, err)
	}
	p = i.python([]string{"FIRESTORE_DATABASE=" + database}, os.DevNull, "backfill.py", "--expect", "--collection", "named")
	require.Equal(t, 1, p.Wait(soon))
	require.Equal(t, []string{`{"kind":"thread","id":"a1","tenant_id":"t_a"}`, `{"kind":"thread","id":"a6","tenant_id":"t_a"}`}, p.Stdout.Lines())
	require.Len(t, p.Stderr.Lines(), 5, "%s", p.Stderr)
	require.Contains(t, p.Stderr.String(), "document named/a2, tenant_id None: the tenant does not match")
	require.Contains(t, p.Stderr.String(), "4 left out")
}
