package main

import (
	"context"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
)

// archiving is a subscription that writes a topic to a bucket, as far as the emulator
// goes: the test takes the messages, and transforms them as Pub/Sub would.
type archiving struct{ topic, types string }

var archivings = []archiving{
	{"nexus-thread-created", `nexus\.thread\.created\.v1`},
	{"nexus-tenant-moved", `nexus\.tenant\.moved\.v1`},
	{"realtime-registry-log", `(registry\.(claimed|retracted)|nexus\.tenant\.moved)\.v1`},
}

func (c program) pubsubClient() *pubsub.Client {
	c.t.Helper()
	client, err := pubsub.NewClient(c.t.Context(), c.project.ID, c.project.PubSubOptions()...)
	require.NoError(c.t, err)
	c.t.Cleanup(func() { client.Close() })
	return client
}

// archiveTopics begins to archive the topics.
func (c program) archiveTopics(client *pubsub.Client) {
	c.t.Helper()
	for _, a := range archivings {
		_, err := client.SubscriptionAdminClient.CreateSubscription(c.t.Context(), &pubsubpb.Subscription{
			Name: client.Subscriber(a.topic + ".archive").String(), Topic: client.Publisher(a.topic).String(),
		})
		require.NoError(c.t, err)
	}
}

// fill puts into a directory, which is the bucket, what the archive has once it has so
// many lines.
func (c program) fill(bucket string, client *pubsub.Client, lines int) {
	c.t.Helper()
	var mu sync.Mutex
	found := map[string]map[string]map[string]any{} // by topic, and by message
	count := func() (n int) {
		for _, messages := range found {
			n += len(messages)
		}
		return n
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	var pulling sync.WaitGroup
	for _, a := range archivings {
		found[a.topic] = map[string]map[string]any{}
		pulling.Go(func() {
			_ = client.Subscriber(a.topic+".archive").Receive(ctx, func(_ context.Context, m *pubsub.Message) {
				mu.Lock()
				defer mu.Unlock()
				found[a.topic][m.ID] = map[string]any{"data": string(m.Data), "attributes": m.Attributes, "published": m.PublishTime.UTC().Format(time.RFC3339)}
				if m.Ack(); count() >= lines {
					cancel()
				}
			})
		})
	}
	pulling.Wait()
	require.Equal(c.t, lines, count(), "%v", found)
	for _, a := range archivings {
		var messages []map[string]any
		for _, m := range found[a.topic] {
			messages = append(messages, m)
		}
		dir := filepath.Join(bucket, a.topic)
		require.NoError(c.t, os.Mkdir(dir, 0o700))
		text := strings.Join(inBucket(c.t, a.types, messages...), "\n") // Pub/Sub ends no file with a line end
		require.NoError(c.t, os.WriteFile(filepath.Join(dir, "1.ndjson"), []byte(text), 0o600))
	}
}

// backup is what a database's registry has now.
func backup(t *testing.T, db docdb.DB) (all map[string][]*docdb.Document) {
	t.Helper()
	all = map[string][]*docdb.Document{}
	for _, collection := range []string{"realtime_registry", "realtime_registry_ledger", "realtime_registry_feed", "realtime_registry_outbox"} {
		require.NoError(t, db.Query(t.Context(), docdb.Query{Collection: collection}, func(d *docdb.Document) error {
			all[collection] = append(all[collection], d)
			return nil
		}))
	}
	return all
}

// restoreInto writes a backup into another database.
func restoreInto(t *testing.T, db docdb.DB, backup map[string][]*docdb.Document) {
	t.Helper()
	for collection, documents := range backup {
		var writes []docdb.Write
		for _, d := range documents {
			writes = append(writes, docdb.Write{Name: db.Name(collection, path.Base(d.Name)), Fields: d.Fields})
		}
		for part := range slices.Chunk(writes, docdb.MaxWrites) {
			_, err := db.Commit(t.Context(), part...)
			require.NoError(t, err)
		}
	}
}

// docs/recovery.md, "Restore", typed step by step as it stands, with an API that was
// started too early and lives through recovery and replay.
func TestARestoreIsRehearsed(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.env = []string{"FIRESTORE_DATABASE=realtime-registry"}
	page, sh := readRecoveryPage(t), c.typist()
	page.types(sh, "export GOOGLE_CLOUD_PROJECT=")
	page.types(sh, "backups schedules create --database=$FIRESTORE_DATABASE --recurrence=daily --retention=14w\nfor")
	page.types(sh, "archive() {")
	bucket := c.pubsubClient()
	c.archiveTopics(bucket)
	worker, _ := c.service("run")
	api, url := c.service("serve")
	status := func(url, tenant, thread string) func() bool {
		return func() bool { return get(t, url+"/v1/threads/"+thread+"/access", tenant) == http.StatusNoContent }
	}
	owned := func(url, tenant, thread string) {
		t.Helper()
		require.Eventually(t, status(url, tenant, thread), time.Minute, 20*time.Millisecond, "%s: %s", tenant, thread)
	}
	publish := func(lines ...string) { c.run(exitDone, "publish", write(t, lines...)) }
	claim := func(tenant, thread string) {
		t.Helper()
		require.Equal(t, http.StatusCreated, do(t, http.MethodPut, url+"/v1/threads/"+thread, tenant))
	}
	publish(created("e1", "2024-01-01T00:00:00Z", "t_a", "th_1"), created("e2", "2024-01-01T00:00:00Z", "t_x", "th_2"),
		tenantMoved("kept", "2024-01-02T00:00:00Z", "t_x", "t_y"), tenantMoved("mistake", "2024-01-02T00:00:00Z", "t_a", "t_wrong"))
	claim("t_c", "th_early")
	claim("t_m", "th_whole")
	claim("t_n", "th_named")
	owned(url, "t_wrong", "th_1")
	owned(url, "t_y", "th_2")
	before := backup(t, c.documentsOf("realtime-registry"))
	require.NoError(t, os.WriteFile(filepath.Join(sh.bucket(), "snapshot"), []byte(time.Now().UTC().Format(time.RFC3339)+"\n"), 0o600))

	// What is not in the backup.
	c.run(exitDone, "moves", "retract", "mistake", "--yes")
	c.run(exitDone, "moves", "start", "--from", "t_m", "--to", "t_o", "--id", "whole", "--yes")
	c.run(exitDone, "moves", "start", "--from", "t_n", "--to", "t_o", "--kind", "thread", "--id", "named", "--yes")
	claim("t_c", "th_claimed")
	publish(created("e3", "2024-01-03T00:00:00Z", "t_d", "th_new"), tenantMoved("after", "2024-01-03T00:00:00Z", "t_y", "t_z"))
	owned(url, "t_a", "th_1")
	owned(url, "t_d", "th_new")
	owned(url, "t_z", "th_2")
	c.fill(sh.bucket(), bucket, 13) // the log has all of it, too

	page.types(sh, "scale deployment registry-worker registry-api --replicas=0")
	worker.Signal(syscall.SIGTERM)
	api.Signal(syscall.SIGTERM)
	require.Equal(t, exitDone, worker.Wait(30*time.Second))
	require.Equal(t, exitDone, api.Wait(30*time.Second))

	page.types(sh, "FIRESTORE_DATABASE=$OLD registry-worker doctor")
	page.types(sh, "projects remove-iam-policy-binding")

	page.types(sh, "RESTORED=")
	page.types(sh, "export FIRESTORE_DATABASE=${RESTORED:?")
	r := c
	name := sh.types("echo $FIRESTORE_DATABASE")[0]
	r.env = []string{"FIRESTORE_DATABASE=" + name}
	restoreInto(t, r.documentsOf(name), before)
	page.types(sh, "gcloud firestore databases restore")
	page.types(sh, "projects add-iam-policy-binding")
	page.types(sh, "registry-worker recover")
	_, early := r.service("serve")
	owned(early, "t_wrong", "th_1")
	require.Contains(t, strings.Join(sh.types("registry-worker recover"), "\n"), "A process runs: API")
	page.types(sh, "set env deployment/registry-worker")
	r.service("run")
	page.types(sh, "registry-worker replay --since")
	for thread, tenant := range map[string]string{
		"th_1": "t_a", "th_2": "t_z", "th_early": "t_c", "th_claimed": "t_c", "th_new": "t_d", "th_whole": "t_o", "th_named": "t_o",
	} {
		owned(early, tenant, thread)
	}
	for thread, tenant := range map[string]string{"th_1": "t_wrong", "th_2": "t_y", "th_claimed": "t_d", "th_whole": "t_m", "th_named": "t_n"} {
		require.Equal(t, http.StatusNotFound, get(t, early+"/v1/threads/"+thread+"/access", tenant), thread)
	}
	for _, move := range []string{"mistake", "whole"} {
		r.run(exitDone, "moves", "verify", move, "--wait")
	}
	page.types(sh, "registry-worker doctor\n")
	page.types(sh, "gcloud storage cp")
	page.types(sh, "registry-worker export --check")
	page.types(sh, "scale deployment registry-api --replicas=2")
	require.Equal(t, fine, r.examined(exitDone)["epoch"].Verdict)
}
