package deploy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/deploy"
	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/actions"
	"github.com/northstar-engines/realtime-registry/internal/docdb/firestoredb"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/presence"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/internal/storetest"
	quotastore "github.com/northstar-engines/realtime-registry/quota/fsquota"
	"github.com/northstar-engines/realtime-registry/registry"
	registrystore "github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

// field is a field of a collection.
type field struct{ collection, path string }

func (f field) String() string { return f.collection + "." + f.path }

// indexed are the fields that stay indexed, since something queries by them.
// Those whose values grow with time say why that does not hold writes up:
// Firestore slows a collection down beyond 500 writes a second to such an index
// (https://firebase.google.com/docs/firestore/quotas).
var indexed = map[field]struct{ queriedBy, grows string }{
	{"realtime_registry", "tenant_id"}:      {queriedBy: "what a move affects, plain documents"},
	{"realtime_registry", "path"}:           {queriedBy: "what a move affects"},
	{"realtime_registry_ledger", "seq"}:     {queriedBy: "what is new in the ledger", grows: "each change writes the ledger's head too, and one document takes about one write a second"},
	{"realtime_registry_ledger", "pending"}: {queriedBy: "the next job", grows: "as seq"},
	{"realtime_registry_feed", "at"}:        {queriedBy: "what is new in the feed", grows: "only commits that change what exists write the feed, until the upgrade is finished; docs/capacity.md says from when on it is the limit"},
}

// byPeople are collections that people write, a few documents in all.
var byPeople = []string{"rate_limit_policies"}

type override struct {
	CollectionGroup, FieldPath string
	TTL                        bool
	Indexes                    []map[string]string
}

func overrides(t *testing.T) map[field]override {
	t.Helper()
	var file struct{ FieldOverrides []override }
	require.NoError(t, json.Unmarshal(deploy.FirestoreIndexes, &file))
	all := map[field]override{}
	for _, o := range file.FieldOverrides {
		f := field{o.CollectionGroup, o.FieldPath}
		require.NotContains(t, all, f, "twice")
		all[f] = o
	}
	return all
}

func TestEveryFieldThatIsWrittenIsExemptFromIndexesOrQueried(t *testing.T) {
	t.Parallel() // it mostly waits
	written, overrides := writtenFields(t), overrides(t)
	for f := range written {
		o, ok := overrides[f]
		require.True(t, ok, "%s would be indexed", f)
		_, queried := indexed[f]
		require.Equal(t, queried, len(o.Indexes) > 0, "%s is indexed where it is queried by, only", f)
	}
	for f := range overrides {
		require.NotEmpty(t, written[f], "nothing writes %s", f)
	}
	for f, why := range indexed {
		require.NotEmpty(t, why.queriedBy)
		require.NotEmpty(t, written[f], "nothing writes %s", f)
	}
}

func TestNoFieldThatGrowsWithTimeIsIndexedUnlessItsRateIsBounded(t *testing.T) {
	t.Parallel() // it mostly waits
	for f, values := range writtenFields(t) {
		why, queried := indexed[f]
		if !queried || !slices.ContainsFunc(values, growing) {
			continue
		}
		require.NotEmpty(t, why.grows, "%s holds %v: in the order of time it holds writes up", f, values)
	}
}

// growing tells of values that may follow time: times, as such or as text, and
// numbers.
func growing(value any) bool {
	switch v := value.(type) {
	case time.Time, int64, float64:
		return true
	case string:
		_, err := time.Parse(time.RFC3339Nano, v)
		return err == nil
	}
	return false
}

func TestWhatExpiresHasATTLPolicyThatCostsNoIndex(t *testing.T) {
	t.Parallel() // it mostly waits
	overrides := overrides(t)
	for f := range writtenFields(t) {
		require.Equal(t, f.path == "expires_at", overrides[f].TTL, f)
		if overrides[f].TTL {
			require.Empty(t, overrides[f].Indexes, "%s: a TTL policy needs no index, which would be a hot one", f)
		}
	}
}

// writtenFields is every field, with the values that it has, after the stores
// have done everything that they can.
func writtenFields(t *testing.T) map[field][]any {
	t.Helper()
	used, upgraded := emulatortest.Firestore(t), emulatortest.Firestore(t)
	useRegistry(t, used)
	useThrottle(t, used)
	haveProcessesAndOperators(t, used)
	upgradeRegistry(t, upgraded)
	written := map[field][]any{}
	for _, p := range []emulatortest.Project{used, upgraded} {
		addFields(t, p, written)
	}
	return written
}

// haveProcessesAndOperators writes what is for people alone.
func haveProcessesAndOperators(t *testing.T, p emulatortest.Project) {
	t.Helper()
	db, err := firestoredb.Open(t.Context(), firestoredb.Options{ProjectID: p.ID, ClientOptions: p.FirestoreOptions()})
	require.NoError(t, err)
	note, err := actions.Begin(t.Context(), db, actions.Action{Did: actions.Purge, By: "alice", Comment: "ticket 4711", Which: "--reason malformed"})
	require.NoError(t, err)
	require.NoError(t, actions.End(t.Context(), db, note, actions.Action{Letters: 2, Reasons: map[string]int{"malformed": 2}, Failure: "killed"}))
	ctx, end := context.WithCancel(t.Context())
	defer end()
	name := db.Name(presence.Collection, "a")
	go presence.Keep(ctx, db, presence.Process{ID: "a", Role: "worker", Version: "v1", Commit: "c", Host: "h", Started: time.Now()}, func() presence.Held { return presence.Held{} }, slog.New(slog.DiscardHandler))
	require.Eventually(t, func() bool {
		found, _, err := db.Get(t.Context(), []string{name})
		return err == nil && len(found) == 1
	}, time.Minute, 20*time.Millisecond)
	_ = db.Close() // so that what it wrote stays
}

func addFields(t *testing.T, p emulatortest.Project, written map[field][]any) {
	t.Helper()
	client, err := firestore.NewClient(t.Context(), p.ID, p.FirestoreOptions()...)
	require.NoError(t, err)
	defer client.Close()
	collections, err := client.Collections(t.Context()).GetAll()
	require.NoError(t, err)
	for _, c := range collections {
		if slices.Contains(byPeople, c.ID) {
			continue
		}
		documents, err := c.Documents(t.Context()).GetAll()
		require.NoError(t, err)
		for _, d := range documents {
			for name, value := range maps.All(d.Data()) {
				f := field{c.ID, name}
				written[f] = append(written[f], value)
			}
		}
	}
}

func useRegistry(t *testing.T, p emulatortest.Project) {
	t.Helper()
	ctx := t.Context()
	s, err := registrystore.Open(ctx, registrystore.Options{ProjectID: p.ID, ClientOptions: p.FirestoreOptions()})
	require.NoError(t, err)
	defer s.Close()
	at := func(second int64) ownership.Version {
		return ownership.Version{Time: time.Unix(second, 0).UTC(), Source: "//test", ID: fmt.Sprint("e", second)}
	}
	_, err = s.EndPlainSets(ctx, true)
	require.NoError(t, err)
	_, _, err = s.BeginLog(ctx)
	require.NoError(t, err)
	_, _, err = s.Recover(ctx)
	require.NoError(t, err)
	thread := registry.Resource{Kind: registry.Thread, ID: "th_1"}
	gone := registry.Resource{Kind: registry.Thread, ID: "th_gone"}
	for _, change := range []ownership.Change{
		{Resource: gone, Entry: ownership.Entry{Type: ownership.Deleted, Version: ownership.Version{Time: time.Unix(1, 0)}}},
		{Resource: thread, Entry: ownership.Entry{Type: ownership.Created, Version: at(1), Tenant: "t_a"}},
		{Resource: thread, Entry: ownership.Entry{Type: ownership.Moved, Version: at(2), From: "t_a", To: "t_b"}},
		{Entry: ownership.Entry{Type: ownership.Moved, Version: at(3), From: "t_b", To: "t_c"}},
		{Entry: ownership.Entry{Type: ownership.Moved, Version: at(4), From: "t_c", To: "t_d"}},
		{Resource: thread, Entry: ownership.Entry{Type: ownership.Created, Version: at(0), Tenant: "t_first"}}, // displaces
		{Entry: ownership.Entry{Type: ownership.Moved, From: "t_x", To: "t_y", Reason: "why", Actor: "who", // displaces
			Version: ownership.Version{Time: time.Unix(2, 0).UTC(), Source: "//test", ID: "e3"}}},
	} {
		outcome := s.Apply(ctx, []ownership.Change{change})[0]
		require.Equal(t, ownership.Applied, outcome.Kind, outcome.Err)
	}
	var creations, moves []ownership.Change
	for _, id := range []string{"th_2", "th_3"} { // which one commit moves
		r := registry.Resource{Kind: registry.Thread, ID: id}
		creations = append(creations, ownership.Change{Resource: r, Entry: ownership.Entry{Type: ownership.Created, Version: at(1), Tenant: "t_a"}})
		moves = append(moves, ownership.Change{Resource: r, Entry: ownership.Entry{Type: ownership.Moved, Version: at(2), From: "t_a", To: "t_b"}})
	}
	for _, o := range append(s.Apply(ctx, creations), s.Apply(ctx, moves)...) {
		require.Equal(t, ownership.Applied, o.Kind, o.Err)
	}
	require.Equal(t, ownership.Applied, s.Apply(ctx, []ownership.Change{ownership.Retraction(ownership.Version{Source: "//test", ID: "e4"}, "somebody", "")})[0].Kind)
	var many []ownership.Change // so that a snapshot of the ledger is due
	for second := range int64(500) {
		many = append(many, ownership.Change{Entry: ownership.Entry{Type: ownership.Moved, Version: at(1000 + second), From: "t_m", To: "t_n"}})
	}
	for _, o := range s.Apply(ctx, many) {
		require.Equal(t, ownership.Applied, o.Kind, o.Err)
	}
	written, err := s.WriteSnapshot(ctx, "worker")
	require.NoError(t, err)
	require.True(t, written)
	_, err = storetest.LeaseJob(ctx, s, "worker", time.Minute)
	require.NoError(t, err)
	_, err = s.Finish(ctx) // from now on the feed goes into shards
	require.NoError(t, err)
	_, err = s.Read(ctx, []registry.Resource{thread})
	require.NoError(t, err)
	require.NoError(t, s.Apply(ctx, []ownership.Change{{Resource: thread, Entry: ownership.Entry{Type: ownership.Moved, Version: at(9), From: "t_d", To: "t_e"}}})[0].Err)
	_, err = s.Claim(ctx, "t_a", registry.Resource{Kind: registry.Canvas, ID: "ca_1"}, registry.ForEvent("//test", "claimed"))
	require.NoError(t, err)
	leaveInOutbox(t, p)
}

// leaveInOutbox sweeps the outbox once its documents have waited, and leaves them.
func leaveInOutbox(t *testing.T, p emulatortest.Project) {
	t.Helper()
	db, err := firestoredb.Open(t.Context(), firestoredb.Options{ProjectID: p.ID, ClientOptions: p.FirestoreOptions()})
	require.NoError(t, err)
	s, err := regstore.Open(t.Context(), db, regstore.Options{OutboxPatience: time.Millisecond})
	require.NoError(t, err)
	defer s.Close()
	away := errors.New("the topic is away")
	for _, failure := range []error{nil, away} { // so that one has noted how far it was, and one what is left
		_, err = s.Claim(t.Context(), "t_a", registry.Resource{Kind: registry.Canvas, ID: fmt.Sprint("left_", failure != nil)}, registry.ForEvent("//test", "left"))
		require.NoError(t, err)
		move := ownership.Entry{Type: ownership.Moved, Version: ownership.Version{Time: time.Unix(10, 0), Source: "//operator", ID: fmt.Sprint(failure)}, From: "t_b", To: "t_c"}
		for _, o := range s.Apply(t.Context(), []ownership.Change{
			{Resource: registry.Resource{Kind: registry.Thread, ID: "th_2"}, ToLog: true, Entry: move}, {Resource: registry.Resource{Kind: registry.Thread, ID: "th_3"}, ToLog: true, Entry: move},
		}) {
			require.NoError(t, o.Err)
		}
		require.Eventually(t, func() bool {
			state, err := s.SweepOutbox(t.Context(), "worker", func(context.Context, []ownership.Logged) error { return failure })
			return errors.Is(err, failure) && (state.Waiting > 0) == (failure != nil)
		}, time.Minute, 10*time.Millisecond)
	}
}

// upgradeRegistry brings a registry of commit 1571751 over, and is ended in the
// middle, since what it notes of its progress is deleted at the end.
func upgradeRegistry(t *testing.T, p emulatortest.Project) {
	t.Helper()
	client, err := firestore.NewClient(t.Context(), p.ID, p.FirestoreOptions()...)
	require.NoError(t, err)
	defer client.Close()
	for _, id := range []string{"1", "2"} {
		_, err := client.Collection("realtime_registry").Doc("thread__old_"+id).Set(t.Context(), map[string]any{
			"tenant_id": "t_a", "path": []string{"t_a"}, "ledger": 0, "history": []map[string]any{
				{"type": "created", "tenant": "t_a", "time": "2024-01-01T00:00:00Z", "source": "//test", "id": id}}})
		require.NoError(t, err)
	}
	slow, err := governor.Parse("1") // a document at a time
	require.NoError(t, err)
	ctx, end := context.WithCancel(t.Context())
	defer end()
	_, err = registrystore.Upgrade(ctx, registrystore.Options{
		ProjectID: p.ID, ClientOptions: p.FirestoreOptions(), LedgerStaleness: time.Millisecond, CommitDeadline: 2 * time.Second,
	}, registrystore.UpgradeOptions{
		Rate: slow,
		Progress: func(looked, _ int64) {
			if looked == 2 {
				end()
			}
		},
	})
	require.ErrorIs(t, err, registry.ErrUnavailable)
}

func useThrottle(t *testing.T, p emulatortest.Project) {
	t.Helper()
	ctx := t.Context()
	s, err := quotastore.Open(ctx, quotastore.Options{ProjectID: p.ID, ClientOptions: p.FirestoreOptions()})
	require.NoError(t, err)
	defer s.Close()
	save := func(tenant string, c limits.Change) {
		t.Helper()
		c.Since, c.ExpiresAt = limits.Absent, time.Now().Add(time.Hour)
		_, err := s.Save(ctx, limits.Key{Tenant: tenant, Action: "send"}, c)
		require.NoError(t, err)
	}
	now := float64(time.Now().Unix())
	save("t_a", limits.Change{Window: limits.Window{LastReset: now, Count: 1, Length: time.Minute, Limit: 100, Sharing: limits.Sharing{Writes: 1}}})
	save("t_b", limits.Change{Window: limits.Window{LastReset: now, Generation: 1}, ResetBy: "alice"})
}
