package main

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// before is the commit that knows nothing of formats.
const before = "157175114b594bb848df3967e08059c5cc740384"

// by is the same project, by another program.
func (c program) by(binary string) program {
	c.binary = binary
	return c
}

// A registry of commit 1571751, made by that program itself, with a forgotten
// process of it that goes on.
func TestAnArchiveOfCommit1571751IsBroughtOver(t *testing.T) {
	t.Parallel() // it mostly waits
	a := loadArchive(t)
	c := onEmulators(t)
	old := c.by(emulatortest.Release(t, before))
	lines := append(append([]string(nil), a.lines...),
		tenantMoved("whole", "2024-03-01T00:00:00Z", "t_1", "t_2"), tenantMoved("back", "2024-03-02T00:00:00Z", "t_3", "t_4"))
	old.patient("replay", "--rate", "unlimited", write(t, lines...))
	old.run(exitDone, "moves", "retract", "back", "--yes")
	forgotten, url := old.service("serve")
	claims := []string{"claimed_1", "claimed_2", "claimed_3"}
	for _, id := range claims {
		require.Equal(t, http.StatusCreated, do(t, http.MethodPut, url+"/v1/threads/"+id, "t_claims"))
	}
	whole := old.patient("export")
	require.Equal(t, http.StatusNoContent, get(t, url+"/v1/threads/claimed_1/access", "t_claims"))

	for _, command := range [][]string{{"export"}, {"moves", "list"}, {"inspect", "thread", "claimed_1"}} {
		require.Contains(t, c.run(exitFault, command...).Stderr.String(), "registry-worker upgrade", "%s", command)
	}
	first := c.start("upgrade", "--yes", "--rate", fmt.Sprint(max(200, len(lines)/5)))
	total := strings.Count(whole, "\n")
	require.Eventually(t, func() bool { return noted(t, c) > total/3 }, 3*time.Minute, 100*time.Millisecond)
	first.Kill()
	first.Wait(10 * time.Second)
	there := broughtOver(t, c)
	require.Less(t, there, total, "it was the middle")
	require.Contains(t, c.run(exitFault, "export").Stderr.String(), "registry-worker upgrade", "it is not finished")

	goingOn := c.start("upgrade", "--yes", "--rate", "unlimited")
	require.Equal(t, exitDone, goingOn.Wait(5*time.Minute))
	second := goingOn.Stderr.String()
	t.Logf("killed with %d of %d documents brought over; then %s", there, total, second)
	require.Contains(t, second, "going on behind")
	require.Contains(t, second, "3 claims")
	require.Equal(t, whole, c.patient("export"), "the same as before")
	c.patient("export", "--check")
	require.Contains(t, c.run(exitDone, "inspect", "thread", "claimed_1").Stdout.String(), "claimed")
	again := c.start("upgrade", "--yes", "--rate", "unlimited")
	require.Equal(t, exitDone, again.Wait(5*time.Minute))
	require.Contains(t, again.Stderr.String(), "0 brought over")

	require.Contains(t, old.run(exitFault, "export").Stderr.String(), "later release than commit 1571751", "it does not start")
	require.Contains(t, old.start("serve", "--listen", "127.0.0.1:0").AwaitLine("later release", 30*time.Second), "stop this process")
	require.Equal(t, http.StatusServiceUnavailable, get(t, url+"/v1/threads/claimed_1/access", "t_claims"), "what still runs does not answer")
	require.Equal(t, http.StatusServiceUnavailable, do(t, http.MethodPut, url+"/v1/threads/new", "t_claims"), "nor writes")
	forgotten.Signal(syscall.SIGTERM)
	require.Equal(t, exitDone, forgotten.Wait(30*time.Second))
	_, url = c.service("serve")
	require.Equal(t, http.StatusNoContent, get(t, url+"/v1/threads/claimed_1/access", "t_claims"))
}

// If nobody has moved a whole tenant yet, that commit has made nothing but
// documents, and this release must not take the registry for a new one.
func TestARegistryOfCommit1571751WithoutALedgerIsBroughtOver(t *testing.T) {
	t.Parallel() // it mostly waits
	c := onEmulators(t)
	old := c.by(emulatortest.Release(t, before))
	old.patient("replay", "--rate", "unlimited", write(t, created("1", "2024-01-01T00:00:00Z", "t_a", "th_1"), created("2", "2024-01-01T00:00:00Z", "t_a", "th_2")))
	forgotten, url := old.service("serve")
	require.Equal(t, http.StatusNoContent, get(t, url+"/v1/threads/th_1/access", "t_a"))
	whole := old.patient("export")
	for _, command := range [][]string{{"export"}, {"serve", "--listen", "127.0.0.1:0"}, {"replay", "--yes", write(t, created("3", "2024-01-01T00:00:00Z", "t_a", "th_3"))}} {
		require.Contains(t, c.run(exitFault, command...).Stderr.String(), "registry-worker upgrade", "%s", command)
	}
	require.Equal(t, whole, old.patient("export"), "nothing was written")

	require.Contains(t, c.run(exitDone, "upgrade", "--yes", "--rate", "unlimited").Stderr.String(), "2 brought over")
	require.Equal(t, whole, c.patient("export"))
	c.run(exitDone, "export", "--check")
	require.Equal(t, http.StatusServiceUnavailable, get(t, url+"/v1/threads/th_1/access", "t_a"), "what still runs does not answer")
	forgotten.Signal(syscall.SIGTERM)
	require.Equal(t, exitDone, forgotten.Wait(30*time.Second))
}

func TestOnceTheUpgradeIsFinishedTheFeedGoesIntoShards(t *testing.T) {
	t.Parallel() // it mostly waits
	c := onEmulators(t)
	feed := func(of string) (n int) {
		for _, fields := range rawDocuments(t, c, "realtime_registry_feed") {
			if fields[of] != nil {
				n++
			}
		}
		return n
	}
	move := func(id string, day int) string {
		return event(id, "nexus.tenant.moved.v1", fmt.Sprintf("2024-01-%02dT00:00:00Z", day),
			`{"from_tenant_id":"t_a","to_tenant_id":"t_b","resources":[{"kind":"thread","id":"th_1"},{"kind":"thread","id":"th_2"}]}`)
	}
	c.replay(created("1", "2024-01-01T00:00:00Z", "t_a", "th_1"), created("2", "2024-01-01T00:00:00Z", "t_a", "th_2"))
	c.replay(move("m1", 2))
	require.Equal(t, [3]int{1, 1, 0}, [3]int{feed("resources"), feed("at"), feed("shard")}, "one entry for both, where earlier releases look")
	require.Contains(t, c.run(exitDone, "upgrade", "--finish", "--yes").Stderr.String(), "the upgrade is finished")
	require.Contains(t, c.run(exitDone, "upgrade", "--finish", "--yes").Stderr.String(), "was finished before")
	c.replay(move("m2", 3))
	require.Equal(t, [3]int{2, 1, 1}, [3]int{feed("resources"), feed("at"), feed("shard")})
}

func TestTheRegistryIsToldThatPlainSetsAreOverAndFindsThoseThatGoOn(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.replay(created("1", "2024-01-01T00:00:00Z", "t_a", "th_1"), created("2", "2024-01-01T00:00:00Z", "t_a", "th_2"))
	c.setPlain("thread__th_1", "t_b")
	looked := c.run(exitDone, "upgrade", "--plain-sets", "over", "--dry-run").Stdout.String()
	require.Contains(t, looked, "the registry says that plain sets go on\n2 documents looked at, 1 of them last written with a plain set\nthe latest plain set: thread__th_1, at 20")
	require.Contains(t, looked, "it would say: plain sets are over; nothing was changed")

	require.Contains(t, c.run(exitDone, "upgrade", "--plain-sets", "over", "--yes").Stderr.String(), "plain sets are over")
	require.Contains(t, c.run(exitDone, "upgrade", "--plain-sets", "over", "--yes").Stderr.String(), "the registry said so before")
	require.Contains(t, c.run(exitDone, "upgrade", "--plain-sets", "over", "--dry-run").Stdout.String(), "plain sets are over since 20")
	require.NotContains(t, c.run(exitDone, "inspect", "thread", "th_1").Stderr.String(), "plain", "that one was there before")

	c.setPlain("thread__th_2", "t_b")
	file := write(t, created("3", "2024-01-01T00:00:00Z", "t_a", "th_2"))
	for _, dry := range [][]string{
		{"upgrade", "--plain-sets", "over", "--dry-run"}, {"replay", "--dry-run", file}, {"moves", "plan", "--from", "t_b", "--to", "t_c"},
	} {
		require.Contains(t, c.run(exitDone, dry...).Stderr.String(), "this command writes nothing, so take it back", dry)
	}
	looked = c.run(exitDone, "upgrade", "--plain-sets", "over", "--dry-run").Stdout.String()
	require.Contains(t, looked, "plain sets are over since 20", "a dry run writes nothing, whatever it meets")
	require.Contains(t, looked, "1 document was written so since then: registry-worker upgrade --plain-sets go-on takes back")
	require.Contains(t, c.run(exitDone, "inspect", "thread", "th_2").Stderr.String(), "a program writes documents with plain sets")
	require.Contains(t, c.run(exitDone, "upgrade", "--plain-sets", "over", "--dry-run").Stdout.String(), "the registry says that plain sets go on")
	require.Contains(t, c.run(exitDone, "upgrade", "--plain-sets", "go-on", "--yes").Stderr.String(), "the registry said so before")
	require.Contains(t, c.run(exitUsage, "upgrade", "--dry-run").Stderr.String(), "--dry-run goes with --plain-sets")
	require.Contains(t, c.run(exitUsage, "upgrade", "--finish", "--plain-sets", "over").Stderr.String(), "one at a time")
}

// noted is how many documents upgrade has noted as looked at.
func noted(t *testing.T, c program) int {
	t.Helper()
	client, err := firestore.NewClient(t.Context(), c.project.ID, c.project.FirestoreOptions()...)
	require.NoError(t, err)
	defer client.Close()
	d, err := client.Collection("realtime_registry_ledger").Doc("upgrade").Get(t.Context())
	if err != nil {
		return 0 // not yet there
	}
	n, _ := d.Data()["documents"].(int64)
	return int(n)
}

// broughtOver is how many documents say a format.
func broughtOver(t *testing.T, c program) (n int) {
	t.Helper()
	client, err := firestore.NewClient(t.Context(), c.project.ID, c.project.FirestoreOptions()...)
	require.NoError(t, err)
	defer client.Close()
	documents, err := client.Collection("realtime_registry").Select("format").Documents(t.Context()).GetAll()
	require.NoError(t, err)
	for _, d := range documents {
		if _, err := d.DataAt("format"); err == nil {
			n++
		}
	}
	return n
}
