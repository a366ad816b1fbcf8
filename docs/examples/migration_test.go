package examples

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// python is the registry of the Python services: documents that they write, and
// read, without anybody's help.
type python struct {
	t         *testing.T
	documents *firestore.CollectionRef
	owners    map[string]string // by document, as it last wrote them
}

func newPython(i installation) python {
	client, err := firestore.NewClient(i.t.Context(), i.project.ID, i.project.FirestoreOptions()...)
	require.NoError(i.t, err)
	i.t.Cleanup(func() { _ = client.Close() })
	return python{i.t, client.Collection("realtime_registry"), map[string]string{}}
}

// set is what its thread service does at creation, and its canvas services on
// every command.
func (p python) set(document, tenant string) {
	p.t.Helper()
	_, err := p.documents.Doc(document).Set(p.t.Context(), map[string]any{"tenant_id": tenant})
	require.NoError(p.t, err)
	p.owners[document] = tenant
}

// create is what docs/migration.md puts in its place. It reports whether the
// tenant is the owner now.
func (p python) create(document, tenant string) bool {
	p.t.Helper()
	_, err := p.documents.Doc(document).Create(p.t.Context(), map[string]any{"tenant_id": tenant})
	if status.Code(err) == codes.AlreadyExists {
		return p.tenant(document) == tenant
	}
	require.NoError(p.t, err)
	p.owners[document] = tenant
	return true
}

// tenant is what its transports read.
func (p python) tenant(document string) string {
	p.t.Helper()
	snapshot, err := p.documents.Doc(document).Get(p.t.Context())
	require.NoError(p.t, err)
	tenant, err := snapshot.DataAt("tenant_id")
	require.NoError(p.t, err)
	return tenant.(string)
}

// requireNothingRefused asks both: the documents, as Python transports do, and
// the verifier. Who was allowed is, and nobody else.
func (p python) requireNothingRefused(i installation) {
	p.t.Helper()
	for document, owner := range p.owners {
		require.Equal(p.t, owner, p.tenant(document), document)
		for _, tenant := range []string{"t_acme", "t_globex", "t_umbrella"} {
			want := http.StatusNotFound
			if tenant == owner {
				want = http.StatusNoContent
			}
			require.Equal(p.t, want, i.access(tenant, document), "%s by %s", document, tenant)
		}
	}
}

// access is the verifier's answer about a document's resource.
func (i installation) access(tenant, document string) int {
	i.t.Helper()
	kind, id, _ := strings.Cut(document, "__")
	path := map[string]string{"thread": "threads", "canvas": "canvases"}[kind]
	return i.ask(http.MethodGet, tenant, "/v1/"+path+"/"+id+"/access")
}

// publish publishes events, a line each.
func (i installation) publish(lines ...string) {
	i.t.Helper()
	file := filepath.Join(i.t.TempDir(), "events.ndjson")
	require.NoError(i.t, os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600))
	i.worker("publish", file)
}

func event(id, kind, at, data string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"//nexus/test","type":"nexus.%s.v1","time":%q,"data":%s}`, id, kind, at, data)
}

// docs/migration.md, step by step, with documents as the Python services write
// them: nothing is refused that was allowed before.
func TestMigrationRefusesNothingThatWasAllowedBefore(t *testing.T) {
	t.Parallel()
	i := install(t)
	p := newPython(i)
	for n := range 20 {
		p.set(fmt.Sprintf("thread__th_%d", n), "t_acme")
		p.set(fmt.Sprintf("canvas__cv_%d", n), "t_globex")
	}

	// Steps 1 to 3: what is there is read as it is, and no document is touched.
	require.Equal(t, len(p.owners), strings.Count(i.worker("export"), "\n"))
	i.worker("export", "--check")
	p.requireNothingRefused(i)

	// Step 4: create() in place of set(). Its check lets creations pass, and
	// names a set of what was there.
	archive := func(name string) string {
		file := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(file, []byte(i.worker("export", "--events")), 0o600))
		return file
	}
	then := archive("then.ndjson")
	require.True(t, p.create("thread__th_0", "t_acme"), "repeated: the owner is the same")
	require.False(t, p.create("thread__th_0", "t_globex"), "no longer taken over")
	require.True(t, p.create("canvas__cv_new", "t_acme"))
	p.requireNothingRefused(i)
	now := archive("now.ndjson")
	require.Contains(t, i.worker("export", "--events"), "asserted/canvas__cv_new/", "a creation is exported as a set")
	require.Empty(t, i.done(i.python(nil, os.DevNull, "plainsets.py", then, now)))
	p.set("canvas__cv_2", "t_acme")
	forgotten := i.python(nil, os.DevNull, "plainsets.py", then, archive("later.ndjson"))
	require.Equal(t, 1, forgotten.Wait(soon), forgotten.Stderr)
	require.Len(t, forgotten.Stdout.Lines(), 1)
	require.Contains(t, forgotten.Stdout.String(), "canvas/cv_2: set to t_acme at ")
	p.requireNothingRefused(i)

	// Step 5: events on top, for old and new resources; a service that was
	// forgotten goes on setting.
	i.publish(
		event("e1", "thread.created", "2025-03-03T09:00:00Z", `{"tenant_id":"t_acme","thread_id":"th_0"}`),
		event("e2", "canvas.created", "2025-03-03T09:00:00Z", `{"tenant_id":"t_globex","canvas_id":"cv_0"}`),
		event("e3", "thread.created", "2025-03-03T09:00:00Z", `{"tenant_id":"t_acme","thread_id":"th_event"}`),
		event("e4", "canvas.created", "2025-03-03T09:00:00Z", `{"tenant_id":"t_acme","canvas_id":"cv_1"}`), // says another tenant than the set
	)
	for _, id := range []string{"e1", "e2", "e3", "e4"} {
		i.awaitEvent(id)
	}
	p.owners["thread__th_event"] = "t_acme"
	p.requireNothingRefused(i)
	enriched := archive("enriched.ndjson")
	p.set("canvas__cv_0", "t_globex")   // on a gesture: erases the history
	p.set("thread__th_event", "t_acme") // and one that only events had
	p.set("canvas__cv_1", "t_globex")
	p.requireNothingRefused(i)
	forgotten = i.python(nil, os.DevNull, "plainsets.py", enriched, archive("set.ndjson"))
	require.Equal(t, 1, forgotten.Wait(soon), forgotten.Stderr)
	require.Len(t, forgotten.Stdout.Lines(), 3, "also those that left the owner as it was")
	i.worker("export", "--check")

	// Step 6: claims.
	require.Equal(t, http.StatusNoContent, i.ask(http.MethodPut, "t_globex", "/v1/canvases/cv_0"))
	require.Equal(t, http.StatusConflict, i.ask(http.MethodPut, "t_acme", "/v1/canvases/cv_0"))
	require.Equal(t, http.StatusCreated, i.ask(http.MethodPut, "t_acme", "/v1/threads/th_claimed"))
	p.owners["thread__th_claimed"] = "t_acme"
	p.requireNothingRefused(i)
}

// What plain sets do to a move, as docs/migration.md says: the verifier sees the
// move at once and direct readers when the job is done; a set takes one canvas
// back.
func TestAPlainSetAfterAMoveTakesTheCanvasBack(t *testing.T) {
	t.Parallel()
	i := install(t)
	p := newPython(i)
	p.set("canvas__cv_moved", "t_globex")
	p.set("canvas__cv_touched", "t_globex")
	before := maps.Clone(p.owners)

	i.publish(event("m1", "tenant.moved", time.Now().UTC().Format(time.RFC3339Nano), `{"from_tenant_id":"t_globex","to_tenant_id":"t_umbrella"}`))
	for document := range before {
		require.Eventually(t, func() bool { return i.access("t_umbrella", document) == http.StatusNoContent }, soon, 10*time.Millisecond)
		require.Eventually(t, func() bool { return p.tenant(document) == "t_umbrella" }, soon, 50*time.Millisecond, "the job rewrites the document")
	}
	p.set("canvas__cv_touched", "t_globex") // a tab that was open all the while
	require.Equal(t, http.StatusNoContent, i.access("t_globex", "canvas__cv_touched"))
	require.Equal(t, http.StatusNotFound, i.access("t_umbrella", "canvas__cv_touched"))
	require.Equal(t, http.StatusNoContent, i.access("t_umbrella", "canvas__cv_moved"))
	require.Contains(t, i.worker("inspect", "canvas", "cv_touched"), "owned by t_globex")
}
