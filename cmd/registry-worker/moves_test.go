package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	client "cloud.google.com/go/firestore"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/storetest"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

func tenantMoved(id, at, from, to string) string {
	return event(id, "nexus.tenant.moved.v1", at, fmt.Sprintf(`{"from_tenant_id":%q,"to_tenant_id":%q}`, from, to))
}

// threads are lines that create n threads of a tenant.
func threads(tenant, prefix string, n int) (lines []string) {
	for i := range n {
		id := fmt.Sprintf("%s_%05d", prefix, i)
		lines = append(lines, created(id, "2024-01-01T00:00:00Z", tenant, id))
	}
	return lines
}

// setPlain writes a document as a program does that knows nothing of ours.
func (c program) setPlain(name, tenant string) {
	c.t.Helper()
	python, err := client.NewClient(context.Background(), c.project.ID, c.project.FirestoreOptions()...)
	require.NoError(c.t, err)
	defer python.Close()
	_, err = python.Collection("realtime_registry").Doc(name).Set(context.Background(), map[string]any{"tenant_id": tenant})
	require.NoError(c.t, err)
}

// open opens the registry as another process would.
func (c program) open() *fsregistry.Store {
	c.t.Helper()
	store, err := fsregistry.Open(c.t.Context(), fsregistry.Options{ProjectID: c.project.ID, ClientOptions: c.project.FirestoreOptions()})
	require.NoError(c.t, err)
	c.t.Cleanup(func() { store.Close() })
	return store
}

func (c program) replay(lines ...string) string {
	c.t.Helper()
	return c.run(exitDone, "replay", "--yes", "--rate", "unlimited", write(c.t, lines...)).Stdout.String()
}

func (c program) export(args ...string) string {
	c.t.Helper()
	return c.run(exitDone, append([]string{"export"}, args...)...).Stdout.String()
}

// archive is export --events, without the lines that say from where and when.
func (c program) archive() string {
	c.t.Helper()
	lines := strings.SplitAfter(c.patient("export", "--events"), "\n")
	require.Contains(c.t, lines[0], `"type":"registry.archive.began.v1"`)
	require.Contains(c.t, lines[len(lines)-2], `"type":"registry.archive.ended.v1"`)
	return strings.Join(lines[1:len(lines)-2], "")
}

// rewriting returns the state of each move's rewriting, by event id.
func (c program) rewriting() map[string]listedMove {
	c.t.Helper()
	moves := map[string]listedMove{}
	for line := range strings.Lines(c.run(exitDone, "moves", "list", "--limit", "0", "--json").Stdout.String()) {
		var m listedMove
		require.NoError(c.t, json.Unmarshal([]byte(line), &m))
		moves[m.ID] = m
	}
	return moves
}

func TestATenantsMoveIsPlannedDoneKilledResumedAndTakenBack(t *testing.T) {
	t.Parallel() // it waits until no writer can be left that does not know of the move
	c := onEmulators(t)
	c.run(exitDone, "provision")
	c.replay(append(threads("t_old", "a", 2000), threads("t_new", "b", 10)...)...)
	c.setPlain("canvas__plain", "t_old")
	before := c.export()

	plan := c.run(exitDone, "moves", "plan", "--from", "t_old", "--to", "t_new", "--rate", "unlimited").Stdout.String()
	require.Contains(t, plan, "2000 threads would change hands")
	require.Contains(t, plan, "1 canvas would change hands")
	require.Contains(t, plan, "1 of them carry plain sets")
	require.Contains(t, plan, "then some 4002 reads and 2001 writes")
	require.Contains(t, plan, "canvas/plain: t_old → t_new (plain set)")
	require.Contains(t, plan, "by --rate unlimited, since no worker has measured yet what it can do")
	require.Equal(t, before, c.export(), "nothing is written")
	require.Empty(t, c.rewriting())

	at := time.Now().Add(time.Second).UTC().Format(time.RFC3339Nano) // after the plain set
	dry := c.run(exitDone, "replay", "--dry-run", write(t, tenantMoved("m", at, "t_old", "t_new"))).Stdout.String()
	require.Contains(t, dry, "the move of everything from t_old to t_new (event m) would begin to count")
	require.Contains(t, dry, "2000 threads would change hands")
	require.Contains(t, dry, "1 of them carry plain sets")
	require.Equal(t, before, c.export(), "nothing is written")
	c.replay(tenantMoved("m", at, "t_old", "t_new"))
	require.NotContains(t, c.export(), "t_old", "from the one write on")
	require.Regexp(t, `counts +queued: 2001 documents, 1\ds left at least +m `, c.run(exitDone, "moves", "list").Stdout.String())
	require.Positive(t, *c.rewriting()["m"].Rewriting.LeftSeconds)
	require.Contains(t, c.run(exitDone, "moves", "plan", "--from", "t_new", "--to", "t_other").Stdout.String(),
		"beside it goes the rewriting for m (t_old → t_new): 2001 documents")
	stale := c.run(exitFault, "export", "--check")
	require.Contains(t, stale.Stderr.String(), "2001 of 2011 documents")

	// A worker is killed in the middle, and another one ends the job.
	first, _ := c.service("run", "--rate", "50")
	require.Eventually(t, func() bool { r := c.rewriting()["m"].Rewriting; return r.Passed > 0 && r.State == "running" }, time.Minute, 300*time.Millisecond) // 2,001 documents take forty seconds
	first.Kill()
	middle := c.rewriting()["m"].Rewriting
	require.Equal(t, "running", string(middle.State), "it was not released")
	require.Less(t, middle.Passed, int64(2001))
	second, _ := c.service("run", "--rate", "unlimited")
	require.Eventually(t, func() bool { return c.rewriting()["m"].Rewriting.State == "done" }, 2*time.Minute, time.Second)
	require.NotEqual(t, middle.Holder, c.rewriting()["m"].Rewriting.Holder)
	require.Empty(t, c.export("--check"))
	require.Regexp(t, `counts +done .*, \d+ documents? written +m +//test`, c.run(exitDone, "moves", "list").Stdout.String())

	require.Contains(t, c.run(exitUsage, "moves", "retract", "m").Stderr.String(), "give --yes", "no one can answer")
	require.Contains(t, c.run(exitFault, "moves", "retract", "other", "--yes").Stderr.String(), "no move of a whole tenant")
	c.run(exitDone, "moves", "retract", "m", "--by", "ops", "--yes")
	require.Equal(t, before, c.export(), "byte for byte, from the one write on")
	require.Eventually(t, func() bool { return c.rewriting()["m"].Rewriting.State == "done" }, 2*time.Minute, time.Second)
	require.Empty(t, c.export("--check"))
	require.Contains(t, c.replay(tenantMoved("m", at, "t_old", "t_new")), "nothing changed")
	require.Equal(t, before, c.export(), "a redelivery does not revive it")
	require.Equal(t, "ops", c.rewriting()["m"].RetractedBy)
	require.Contains(t, c.run(exitDone, "moves", "retract", "m", "--yes").Stderr.String(), "already")
	second.Kill()
}

func TestAMoveWhoseIDTwoSourcesShareIsRetractedBySourceOnly(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	other := strings.Replace(tenantMoved("m", "2024-01-02T00:00:00Z", "t_a", "t_b"), "//test", "//other", 1)
	c.replay(tenantMoved("m", "2024-01-02T00:00:00Z", "t_c", "t_d"), other)
	p := c.run(exitUsage, "moves", "retract", "m", "--yes")
	require.Contains(t, p.Stderr.String(), "//other")
	require.Contains(t, p.Stderr.String(), "//test")
	c.run(exitDone, "moves", "retract", "m", "--source", "//other", "--yes")
	var retracted []string
	for line := range strings.Lines(c.run(exitDone, "moves", "list", "--json").Stdout.String()) {
		var m listedMove
		require.NoError(t, json.Unmarshal([]byte(line), &m))
		if m.Retracted {
			retracted = append(retracted, m.Source)
		}
	}
	require.Equal(t, []string{"//other"}, retracted)
}

// everything has a plain set, a retraction, claims, and inapplicable and
// conflicting events in it.
func (c program) everything() {
	c.t.Helper()
	c.setPlain("thread__plain", "t_p")
	c.setPlain("thread__override", "t_first")
	c.setPlain("thread__only", "t_only")
	store := c.open()
	for _, id := range []string{"claimed", "claimed.and-published"} {
		_, err := store.Claim(c.t.Context(), "t_b", registry.Resource{Kind: registry.Canvas, ID: id})
		require.NoError(c.t, err)
	}
	file := write(c.t,
		event("0", "nexus.canvas.created.v1", "2024-01-01T00:00:00Z", `{"tenant_id":"t_b","canvas_id":"claimed.and-published"}`),
		created("1", "2024-01-01T00:00:00.123456789Z", "t_a", "th_1"),
		created("2", "2024-01-01T00:00:01Z", "t_a", "th_2"),
		created("3", "2024-01-01T00:00:02Z", "t_thief", "th_1"), // conflict
		created("4", "2024-01-01T00:00:02Z", "t_p", "plain"),
		event("5", "nexus.canvas.created.v1", "2024-01-01T00:00:02Z", `{"tenant_id":"t_b","canvas_id":"ca_1"}`),
		event("6", "nexus.tenant.moved.v1", "2024-01-01T00:00:03Z",
			`{"from_tenant_id":"t_a","to_tenant_id":"t_b","resources":[{"kind":"thread","id":"th_2"},{"kind":"canvas","id":"ca_1"}]}`), // half of it inapplicable
		tenantMoved("7", "2024-01-02T00:00:00Z", "t_b", "t_c"),
		tenantMoved("8", "2024-01-03T00:00:00Z", "t_c", "t_d"),
		event("9", "registry.asserted.v1", "2024-01-04T00:00:00Z", `{"tenant_id":"t_q","resource":{"kind":"thread","id":"asserted"}}`),
		event("10", "registry.retracted.v1", "2024-01-05T00:00:00Z", `{"event_source":"//elsewhere","event_id":"never came","by":"ops"}`),
	)
	refused := filepath.Join(c.t.TempDir(), "refused.ndjson")
	dry := c.run(exitDone, "replay", "--dry-run", "--refused", refused, "--with-retractions", "--with-assertions", file)
	require.Contains(c.t, dry.Stderr.String(), "1 line would be refused, see "+refused)
	p := c.run(exitFault, "replay", "--yes", "--refused", refused, "--with-retractions", "--with-assertions", file)
	require.Contains(c.t, p.Stderr.String(), "1 line refused, see "+refused)
	text, err := os.ReadFile(refused)
	require.NoError(c.t, err)
	require.Contains(c.t, string(text), `"line":4,"reason":"conflict"`)
	c.setPlain("thread__override", "t_second")
	c.run(exitDone, "moves", "retract", "8", "--by", "ops", "--yes")
}

func TestAnArchiveMakesAnEmptyRegistryTheSame(t *testing.T) {
	t.Parallel()
	from, to := onEmulators(t), onEmulators(t)
	from.everything()
	archived := filepath.Join(t.TempDir(), "all.ndjson")
	require.NoError(t, os.WriteFile(archived, []byte(from.export("--events")), 0o600))
	require.Contains(t, to.run(exitDone, "replay", "--yes", "--with-retractions", "--with-assertions", archived).Stdout.String(), "plain set")
	require.Equal(t, from.export(), to.export())
	require.NotEmpty(t, to.export())
	require.Equal(t, from.archive(), to.archive())
	require.Contains(t, to.export("--events"), `"id":"canvas__claimed__t_b","source":"registry"`)
	require.Empty(t, to.export("--check"), "moves come first, so that nothing is left to rewrite")
	require.Contains(t, to.run(exitDone, "replay", "--dry-run", "--with-retractions", "--with-assertions", archived).Stdout.String(), "nothing would change")
}

func TestInspectSaysWhoOwnsAndWhy(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.everything()
	text := c.run(exitDone, "inspect", "thread", "th_2").Stdout.String()
	require.Contains(t, text, "thread/th_2: owned by t_c")
	require.Regexp(t, `created +t_a +t_a `, text)
	require.Regexp(t, `moved +t_a → t_b +t_b `, text)
	require.Regexp(t, `2024-01-02T00:00:00Z +tenant moved +t_b → t_c +t_c `, text)
	require.NotContains(t, text, "→ t_d", "the retracted move is no step")
	require.Contains(t, text, "it is not the owner yet")

	require.Regexp(t, `moved +t_a → t_b +t_c? ?`, c.run(exitDone, "inspect", "canvas", "ca_1").Stdout.String())
	require.Contains(t, c.run(exitDone, "inspect", "canvas", "ca_1").Stdout.String(), "(no effect)")
	require.Contains(t, c.run(exitDone, "inspect", "thread", "missing").Stdout.String(), "not registered in")
	require.Contains(t, c.run(exitUsage, "inspect", "thing", "x").Stderr.String(), "neither thread nor canvas")

	var found inspection
	require.NoError(t, json.Unmarshal([]byte(c.run(exitDone, "inspect", "thread", "override", "--json").Stdout.String()), &found))
	require.Equal(t, "t_second", found.Owner)
	require.Equal(t, "plain set", found.Steps[0].Event)
	require.True(t, found.Document.Plain)
}

func TestInspectNamesTheEventOfAClaim(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	store, err := fsregistry.Open(t.Context(), fsregistry.Options{ProjectID: c.project.ID, ClientOptions: c.project.FirestoreOptions()})
	require.NoError(t, err)
	defer store.Close()
	_, err = registry.New(store).Claim(t.Context(), "t_a", registry.Resource{Kind: registry.Thread, ID: "th_1"}, registry.ForEvent("//nexus/threads", "ev-1"))
	require.NoError(t, err)
	require.Contains(t, c.run(exitDone, "inspect", "thread", "th_1").Stdout.String(), "claimed for event ev-1 of //nexus/threads")
	var found inspection
	require.NoError(t, json.Unmarshal([]byte(c.run(exitDone, "inspect", "thread", "th_1", "--json").Stdout.String()), &found))
	require.Equal(t, &forEvent{"//nexus/threads", "ev-1"}, found.Steps[0].ForEvent)
	require.Contains(t, c.export("--events"), `"event_source":"//nexus/threads","event_id":"ev-1"`)
}

func TestAReplayThatWasKilledGoesOn(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	file, checkpoint := write(t, threads("t_a", "k", 3000)...), filepath.Join(t.TempDir(), "checkpoint.json")
	args := []string{"replay", "--yes", "--checkpoint", checkpoint, "--rate", "200", file}
	first := c.start(args...)
	require.Eventually(t, func() bool { _, err := os.Stat(checkpoint); return err == nil }, 30*time.Second, time.Millisecond)
	first.Kill()
	first.Wait(10 * time.Second)
	args[5] = "unlimited"
	second := c.run(exitDone, args...)
	require.Regexp(t, `going on behind .*; \d+ lines done`, second.Stderr.String())
	require.Regexp(t, `all +3000 `, second.Stdout.String(), "counted over both")
	require.NoFileExists(t, checkpoint)
	require.Equal(t, 3000, strings.Count(c.export(), "\n"))
}

func TestAParkedRewritingIsShownAndTakenUpAgain(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.replay(append(threads("t_a", "th", 3), tenantMoved("m", "2024-02-01T00:00:00Z", "t_a", "t_b"))...)
	store := c.open()
	job, err := storetest.LeaseJob(t.Context(), store, "some-worker", time.Minute)
	require.NoError(t, err)
	for range ownership.MostTries {
		job.Entry.Rewriting = job.Entry.Rewriting.FailedAt(job.Now, "the query is\nrefused", false)
	}
	_, err = store.SaveJob(t.Context(), job)
	require.NoError(t, err)

	require.NoError(t, storetest.ReleaseLease(t.Context(), store, "some-worker"))
	list := c.run(exitDone, "moves", "list").Stdout.String()
	require.Contains(t, list, "parked "+job.Now.Format("2006-01-02T15:04"))
	require.Contains(t, list, `after 10 tries`)
	require.Contains(t, list, `the query is\nrefused`)
	require.NotNil(t, c.rewriting()["m"].Rewriting.ParkedAt)
	_, err = storetest.LeaseJob(t.Context(), store, "another", time.Minute)
	require.ErrorIs(t, err, ownership.ErrNoJob)
	require.Equal(t, list, c.run(exitDone, "moves", "list", "--state", "parked").Stdout.String())
	require.Empty(t, c.run(exitDone, "moves", "list", "--state", "pending").Stdout.String())
	ill := c.examined(exitFault)
	require.Equal(t, wrong, ill["parked rewriting"].Verdict)
	require.Contains(t, ill["parked rewriting"].Detail, `that for m was given up`)
	require.Contains(t, ill["parked rewriting"].Fix, "registry-worker moves resume m --source //test")
	require.Equal(t, "nothing else is to be rewritten", ill["rewriting"].Detail)

	taken := decoded[resumed](t, c.run(exitDone, "moves", "resume", "m", "--json").Stdout.String())
	require.Equal(t, resumed{"m", "//test", "resumed", ownership.RewritingQueued, []string{"registry-worker moves verify m --wait"}}, taken)
	require.NotContains(t, c.examined(exitFault), "parked rewriting")
	again := decoded[resumed](t, c.run(exitDone, "moves", "resume", "m", "--json").Stdout.String())
	require.Equal(t, "not_parked", again.State)
	resumed := c.rewriting()["m"].Rewriting
	require.Nil(t, resumed.ParkedAt)
	require.Equal(t, ownership.RewritingQueued, resumed.State)
	require.Contains(t, c.run(exitDone, "moves", "resume", "m").Stderr.String(), "is not parked: it is queued")
	require.Contains(t, c.run(exitFault, "moves", "resume", "n").Stderr.String(), "no move of a whole tenant")
	_, err = storetest.LeaseJob(t.Context(), store, "another", time.Minute)
	require.NoError(t, err)
}

func TestReplayTakesOneWayOnly(t *testing.T) {
	for args, want := range map[string]string{
		"replay":                               "no FILE",
		"replay --since 2h x":                  "want one of the two",
		"replay --since tomorrow":              "want a time",
		"replay --dry-run --checkpoint c x":    "want no --checkpoint",
		"replay --rate fast x":                 "want ramp, unlimited",
		"moves plan --from t_a":                "--to",
		"moves plan --from t_a --to t_a":       "want another tenant",
		"moves plan --from Bad --to t_a":       "want a tenant id",
		"moves retract":                        "one move",
		"moves resume":                         "one move",
		"inspect thread":                       "want a kind",
		"export --check --events":              "want one of them",
		"moves list --registry-backend memory": "memory is empty",
	} {
		t.Run(args, func(t *testing.T) {
			words := append(strings.Fields(args), "--project", "p-1")
			r := call(t, nil, words...)
			require.Equal(t, exitUsage, r.code, r.stderr)
			require.Contains(t, r.stderr, want)
		})
	}
}

func TestACommandWithoutItsSecondWordSaysWhichThereAre(t *testing.T) {
	for args, want := range map[string]string{
		"moves frob":   `unknown command "frob"`,
		"moves retact": `did you mean "retract"?`,
		"dead-letters": "want count, list, redrive, purge, history",
	} {
		r := call(t, nil, strings.Fields(args)...)
		require.Equal(t, exitUsage, r.code, r.stderr)
		require.Contains(t, r.stderr, want)
	}
}

func TestARewindDeliversAgainWhatIsKept(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.run(exitDone, "provision")
	c.run(exitDone, "publish", write(t, threads("t_a", "r", 50)...))
	_, url := c.service("run")
	applied := func() int { return sum(t, url, "registry_events_total") }
	require.Eventually(t, func() bool { return applied() >= 50 }, 30*time.Second, 20*time.Millisecond)
	before := c.export()

	require.Contains(t, c.run(exitUsage, "replay", "--since", "1h").Stderr.String(), "give --yes", "no one can answer")
	require.Contains(t, c.run(exitDone, "replay", "--since", "1h", "--dry-run").Stderr.String(), "delivered again")
	c.run(exitDone, "replay", "--since", "1h", "--yes")
	require.Eventually(t, func() bool { return applied() >= 100 }, 30*time.Second, 20*time.Millisecond)
	require.Equal(t, before, c.export())
}

func TestDeadLettersAreListedAndPublishedAgain(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.run(exitDone, "provision")
	_, url := c.service("run")
	// One after the other: if the larger creation is applied first, the smaller
	// one displaces it, and nothing is refused.
	c.run(exitDone, "publish", write(t, created("1", "2024-01-01T00:00:00Z", "t_a", "th_1")))
	require.Eventually(t, func() bool { return sum(t, url, "registry_events_total") >= 1 }, 30*time.Second, 20*time.Millisecond)
	c.run(exitDone, "publish", write(t, created("2", "2024-01-02T00:00:00Z", "t_b", "th_1")))
	dead := func() int { return sum(t, url, "registry_dead_letters_total") }
	require.Eventually(t, func() bool { return dead() == 1 }, 30*time.Second, 20*time.Millisecond)
	list := c.run(exitDone, "dead-letters", "list")
	require.Contains(t, list.Stdout.String(), "conflict")
	require.Contains(t, list.Stderr.String(), "1 dead letter\n")
	var letter map[string]any
	require.NoError(t, json.Unmarshal([]byte(c.run(exitDone, "dead-letters", "list", "--json").Stdout.String()), &letter))
	require.Equal(t, "conflict", letter["reason"])
	require.Equal(t, "2", letter["event_id"], "it was published as a line of a file, not in attributes")
	require.Contains(t, c.run(exitDone, "dead-letters", "redrive", "--yes").Stderr.String(), "1 dead letter published again")
	require.Eventually(t, func() bool { return dead() == 2 }, 30*time.Second, 20*time.Millisecond, "refused again")
}

func TestThePlansEventIsOneThatPublishTakes(t *testing.T) {
	e, err := archived.Decode([]byte(moveLine("t_a", "t_b", time.Now())), time.Now())
	require.NoError(t, err)
	require.Equal(t, events.TenantMoved{FromTenantID: "t_a", ToTenantID: "t_b"}, e.Data)
}

func TestHelpTakesCommandsOfTwoWords(t *testing.T) {
	for _, line := range []string{"help moves plan", "moves plan --help"} {
		r := call(t, nil, strings.Fields(line)...)
		require.Equal(t, exitDone, r.code, r.stderr)
		require.Contains(t, r.stdout, "registry-worker moves plan [flags]", line)
	}
}
