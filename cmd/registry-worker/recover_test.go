package main

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/admin/adminpb"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/firestoredb"
	"github.com/northstar-engines/realtime-registry/internal/firestoreadmin/firestoreadmintest"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/presence"
	"github.com/northstar-engines/realtime-registry/internal/storetest"
)

// documents is the database of a program's registry.
func (c program) documents() docdb.DB { return c.documentsOf("") }

func (c program) documentsOf(database string) docdb.DB {
	c.t.Helper()
	db, err := firestoredb.Open(c.t.Context(), firestoredb.Options{ProjectID: c.project.ID, Database: database, ClientOptions: c.project.FirestoreOptions()})
	require.NoError(c.t, err)
	c.t.Cleanup(func() { db.Close() })
	return db
}

// A process holds the ledger at position 1, and lives through a restore of its database
// to before that. Another process then makes position 1 another move.
func TestAProcessThatLivesThroughARestoreIsInDoubtAndThenRight(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.run(exitDone, "provision")
	_, url := c.service("run", "--api")
	check := func(thread, tenant string, want int) func() bool {
		return func() bool { return get(t, url+"/v1/threads/"+thread+"/access", tenant) == want }
	}
	becomes := func(thread, tenant string, want int) {
		t.Helper()
		require.Eventually(t, check(thread, tenant, want), time.Minute, 20*time.Millisecond, "%s of %s: want %d", thread, tenant, want)
	}
	require.Equal(t, http.StatusCreated, do(t, http.MethodPut, url+"/v1/threads/th_1", "t_a"))
	require.Equal(t, http.StatusCreated, do(t, http.MethodPut, url+"/v1/threads/th_2", "t_x"))
	restore := storetest.Outside{DB: c.documents()}.Backup()
	require.Equal(t, http.StatusCreated, do(t, http.MethodPut, url+"/v1/threads/th_lost", "t_a"))
	c.run(exitDone, "moves", "start", "--yes", "--from", "t_a", "--to", "t_b", "--id", "lost")
	becomes("th_1", "t_b", http.StatusNoContent)
	becomes("th_lost", "t_b", http.StatusNoContent)

	restore()
	for _, tenant := range []string{"t_a", "t_b"} {
		becomes("th_1", tenant, http.StatusServiceUnavailable)
	}
	c.run(exitDone, "publish", write(t, created("e1", "2024-01-01T00:00:00Z", "t_d", "th_new")))
	c.run(exitDone, "moves", "start", "--yes", "--from", "t_x", "--to", "t_y", "--id", "after") // by a process that knows nothing of it
	for range 10 {
		for _, tenant := range []string{"t_a", "t_b"} {
			require.Equal(t, http.StatusServiceUnavailable, get(t, url+"/v1/threads/th_1/access", tenant), "position 1 is another move")
		}
	}
	require.Equal(t, http.StatusServiceUnavailable, do(t, http.MethodPut, url+"/v1/threads/th_3", "t_a"))

	out := c.run(exitDone, "recover", "--yes", "--json")
	require.Contains(t, out.Stderr.String(), "A process runs: worker with API")
	require.Contains(t, out.Stderr.String(), "warning: 1 PROCESS RUNS with this database", "with --yes, too")
	var did recovered
	require.NoError(t, json.Unmarshal([]byte(out.Stdout.String()), &did))
	require.EqualValues(t, 1, did.LedgerPosition)
	require.Equal(t, 1, did.Processes)
	require.NotEqual(t, did.EpochBefore, did.Epoch)
	becomes("th_1", "t_a", http.StatusNoContent)
	becomes("th_2", "t_y", http.StatusNoContent)
	becomes("th_new", "t_d", http.StatusNoContent)
	for thread, tenant := range map[string]string{"th_1": "t_b", "th_2": "t_x", "th_lost": "t_b"} {
		require.Equal(t, http.StatusNotFound, get(t, url+"/v1/threads/"+thread+"/access", tenant), thread)
	}
	require.Equal(t, http.StatusCreated, do(t, http.MethodPut, url+"/v1/threads/th_3", "t_a"))
	c.run(exitDone, "moves", "verify", "after", "--from", "t_x", "--to", "t_y", "--wait")
	c.run(exitDone, "export", "--check")
	require.Equal(t, fine, c.examined(exitDone)["epoch"].Verdict)
}

// A release from before epochs goes on with what it holds.
func TestNoRegistryIsRecoveredBesideAProcessThatKnowsNoEpochs(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	require.Contains(t, c.run(exitFault, "recover", "--yes").Stderr.String(), "there is no registry in project "+c.project.ID)
	c.replay(created("1", "2024-01-01T00:00:00Z", "t_a", "th_1"))
	db := c.documents()
	_, err := db.Commit(t.Context(), docdb.Write{Name: db.Name(presence.Collection, "p"), Times: []string{"seen_at"}, Fields: map[string]*docdb.Value{
		"role": docdb.Text(roleWorker), "version": docdb.Text("v0.9.0"), "host": docdb.Text("old-1"),
	}})
	require.NoError(t, err)
	require.Contains(t, c.run(exitFault, "recover", "--yes").Stderr.String(), "worker, v0.9.0, on old-1 is of a release that knows no epochs")
	_, err = db.Commit(t.Context(), docdb.Write{Name: db.Name(presence.Collection, "p"), Delete: true})
	require.NoError(t, err)
	require.Contains(t, c.run(exitDone, "recover", "--yes").Stderr.String(), "registry-worker replay --project "+c.project.ID)
}

func TestTheDoctorFindsAProcessThatHoldsAnotherLedger(t *testing.T) {
	now := time.Now()
	stored := ownership.Epoch{Name: "b", Since: now.Add(-time.Hour), Position: 3}
	of := func(epoch string, position int64, seen time.Time) presence.Process {
		return presence.Process{Role: roleAPI, Version: "v1", Host: "h", Seen: seen, Held: &presence.Held{Epoch: epoch, Position: position}}
	}
	for name, test := range map[string]struct {
		process presence.Process
		want    verdict
		says    string
	}{
		"the same":                      {of("b", 3, now), fine, "at position 3 of epoch b"},
		"behind":                        {of("b", 1, now), fine, ""},
		"ahead":                         {of("b", 4, now), wrong, "the database has gone back in time"},
		"of another epoch":              {of("a", 3, now), wrong, "another epoch"},
		"of the one before, a word ago": {of("a", 3, stored.Since.Add(time.Second)), fine, ""},
		"of an earlier release":         {presence.Process{Role: roleAPI}, fine, ""},
	} {
		d := &doctor{}
		d.epochs([]presence.Process{test.process}, stored)
		require.Equal(t, test.want, d.found[0].Verdict, name)
		require.Contains(t, d.found[0].Detail, test.says, name)
	}
}

// epochStore is a registry with an epoch.
type epochStore struct {
	registryStore
	epoch ownership.Epoch
}

func (s epochStore) Epoch(context.Context) (ownership.Epoch, bool, error) { return s.epoch, true, nil }

func TestTheDoctorFindsADatabaseThatWasRestoredAndNotRecovered(t *testing.T) {
	made := time.Now().Add(-time.Hour)
	const backup = "projects/p/locations/l/backups/b"
	for name, test := range map[string]struct {
		epoch  time.Time
		backup string
		want   verdict
	}{
		"new":                             {made.Add(time.Minute), "", fine},
		"restored":                        {made.Add(-time.Minute), backup, wrong},
		"restored, and recovered":         {made.Add(time.Minute), backup, fine},
		"cloned":                          {made.Add(-time.Minute), "", wrong},
		"of an earlier release":           {time.Time{}, "", fine},
		"of an earlier release, restored": {time.Time{}, backup, wrong},
	} {
		info := &adminpb.Database_SourceInfo{}
		if test.backup != "" {
			info.Source = &adminpb.Database_SourceInfo_Backup{Backup: &adminpb.Database_SourceInfo_BackupSource{Backup: test.backup}}
		}
		in, _ := onService(t, &firestoreadmintest.Server{Database: &adminpb.Database{CreateTime: timestamppb.New(made), SourceInfo: info}})
		d := &doctor{invocation: in}
		d.provenance(t.Context(), epochStore{epoch: ownership.Epoch{Name: "e", Since: test.epoch}})
		require.Equal(t, test.want, d.one(t).Verdict, name)
		if test.want == wrong {
			require.Contains(t, d.one(t).Fix, "registry-worker recover", name)
		}
	}
	in, _ := onService(t, &firestoreadmintest.Server{MayNotLook: true})
	d := &doctor{invocation: in}
	d.provenance(t.Context(), epochStore{})
	require.Equal(t, unseen, d.one(t).Verdict)
}

// Nothing that is looked for in a database without documents is found there.
func TestWhatFindsNothingInTheWrongDatabaseSaysSo(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	archive := write(t, created("1", "2024-01-01T00:00:00Z", "t_a", "th_1"))
	finds := func(p program, why string, doctor verdict, code int) {
		t.Helper()
		for _, args := range [][]string{{"export", "--check"}, {"verify", archive}, {"recover", "--yes"}, {"export", "--check", "--output", t.TempDir() + "/out"}} {
			require.Contains(t, p.run(exitFault, args...).Stderr.String(), why, args)
		}
		found := p.examined(code)["registry"]
		require.Equal(t, doctor, found.Verdict)
		require.Contains(t, found.Detail, why)
	}
	finds(c, "there is no registry in project "+c.project.ID, wrong, exitFault)
	c.run(exitDone, "provision")
	finds(c, "the registry in project "+c.project.ID+", database (default), emulator at ", warning, exitDone)
	c.replay(created("1", "2024-01-01T00:00:00Z", "t_a", "th_1"))
	require.Equal(t, fine, c.examined(exitDone)["registry"].Verdict)
	c.run(exitDone, "export", "--check")
}

func TestRecoverAsksMoreLoudlyIfProcessesRun(t *testing.T) {
	require.Equal(t, "give its ledger a new epoch, as after a restore?", recoveryQuestion(nil))
	require.Contains(t, recoveryQuestion(make([]presence.Process, 1)), "1 PROCESS RUNS with this database")
	require.Contains(t, recoveryQuestion(make([]presence.Process, 2)), "2 PROCESSES RUN with this database")
}

// The commands that recover prints stand in the steps after it, in their order.
func TestWhatRecoverSaysIsNextIsWhatThePageSaysIsNext(t *testing.T) {
	t.Parallel()
	c := onEmulators(t)
	c.replay(created("1", "2024-01-01T00:00:00Z", "t_a", "th_1"))
	var did recovered
	require.NoError(t, json.Unmarshal([]byte(c.run(exitDone, "recover", "--yes", "--json").Stdout.String()), &did))
	_, page, found := strings.Cut(readRecoveryPage(t).text, "**5. Start the workers**")
	require.True(t, found)
	page, _, _ = strings.Cut(page, "## Under the same name")
	for _, next := range did.Next {
		words := strings.Fields(next)
		command := words[0] + " " + words[1]
		if words[1] == "moves" {
			command += " " + words[2]
		}
		_, rest, found := strings.Cut(page, "\n"+command)
		require.True(t, found, "%s is not there, or stands before the one before it", next)
		page = rest
	}
}
