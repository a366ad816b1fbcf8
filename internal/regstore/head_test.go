package regstore_test

import (
	"context"
	"testing"
	"time"

	client "cloud.google.com/go/firestore"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/storetest"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

func reopen(t *testing.T, p emulatortest.Project, change func(*fsregistry.Options)) error {
	t.Helper()
	o := fsregistry.Options{ProjectID: p.ID, Prefix: prefix, ClientOptions: p.FirestoreOptions()}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := fsregistry.Open(ctx, o)
	if err == nil {
		s.Close()
	}
	return err
}

// set changes fields of the ledger's head, as a later release may.
func set(t *testing.T, c *client.Client, field string, value any) {
	t.Helper()
	_, err := c.Collection(prefix+fsregistry.LedgerCollection).Doc("head").Update(t.Context(), []client.Update{{Path: field, Value: value}})
	require.NoError(t, err)
}

func TestTheHeadSaysWhoMayTakePart(t *testing.T) {
	const later = ownership.Format + 1
	for name, test := range map[string]struct {
		field         string
		value, before any
		reads         bool
	}{
		"a later format of the head":  {"format", later, 1, false},
		"a least version that reads":  {"min_reader", later, 1, false},
		"a least version that writes": {"min_writer", later, 1, true},
		"another ledger staleness":    {"ledger_staleness_ms", 6000, 5000, false},
		"another commit deadline":     {"commit_deadline_ms", 9000, 10000, false},
		"no format":                   {"format", client.Delete, 1, false},
		"a least version in words":    {"min_writer", "2", 1, false},
		"a position in words":         {"position", "0", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := emulatortest.Firestore(t)
			s, outsider := open(t, p), outside(t, p)
			requireAll(t, ownership.Applied, s.Apply(t.Context(), creations("x", 2)))
			require.NoError(t, reopen(t, p, nil))
			set(t, outsider, test.field, test.value)

			err := reopen(t, p, nil)
			_, readErr := s.Read(t.Context(), []registry.Resource{creations("x", 1)[0].Resource})
			_, feedErr := s.Changes(t.Context(), ownership.NewFeedCursor(nil))
			if test.reads {
				require.NoError(t, err)
				require.NoError(t, readErr)
				require.NoError(t, feedErr)
			} else {
				for _, err := range []error{err, readErr, feedErr} {
					require.ErrorIs(t, err, registry.ErrIncompatible)
					require.ErrorIs(t, err, registry.ErrUnavailable)
					require.ErrorContains(t, err, "docs/upgrades.md")
				}
			}
			claimed := registry.Resource{Kind: registry.Canvas, ID: "c"}
			_, err = s.Claim(t.Context(), "t_a", claimed)
			require.ErrorIs(t, err, registry.ErrIncompatible)
			move := ownership.Change{Entry: ownership.Entry{Type: ownership.Moved, From: "t_a", To: "t_b",
				Version: ownership.Version{Time: time.Unix(9, 0), Source: "//n", ID: "m"}}}
			outcomes := s.Apply(t.Context(), append(creations("y", 2), move))
			for _, o := range outcomes {
				require.ErrorIs(t, o.Err, registry.ErrIncompatible)
			}
			set(t, outsider, test.field, test.before)
			_, err = s.Claim(t.Context(), "t_a", claimed)
			require.NoError(t, err, "it goes on when it may")
		})
	}
}

// Nothing but the passing of time tells a worker that writes what is new.
func TestAWriterSeesWithinItsStalenessThatItMayNoLongerWrite(t *testing.T) {
	p, meter := emulatortest.Firestore(t), wire.NewMeter()
	o := fsregistry.Options{ProjectID: p.ID, Prefix: prefix, ClientOptions: p.FirestoreOptions(meter.DialOptions()...),
		LedgerStaleness: 300 * time.Millisecond, CommitDeadline: 5 * time.Second}
	s, err := fsregistry.Open(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	requireAll(t, ownership.Applied, s.Apply(t.Context(), creations("a", 1)))
	set(t, outside(t, p), "min_writer", ownership.Format+1)
	changed := time.Now()
	for n := 0; ; n++ {
		outcome := s.Apply(t.Context(), creations("b"+time.Now().Format("150405.000000000"), 1))[0]
		if outcome.Kind == ownership.Failed {
			require.ErrorIs(t, outcome.Err, registry.ErrIncompatible)
			break
		}
		require.Less(t, time.Since(changed), 20*time.Second, "it goes on writing")
	}
	meter.Reset()
	require.ErrorIs(t, s.Apply(t.Context(), creations("c", 1))[0].Err, registry.ErrIncompatible)
	require.Zero(t, meter.Writes(prefix+fsregistry.Collection))
}

func TestWhoDiffersInWhatTheProofsRestOnDoesNotStart(t *testing.T) {
	p := emulatortest.Firestore(t)
	requireAll(t, ownership.Applied, open(t, p).Apply(t.Context(), creations("x", 1)))
	err := reopen(t, p, func(o *fsregistry.Options) { o.LedgerStaleness = time.Second })
	require.ErrorIs(t, err, registry.ErrIncompatible)
	require.ErrorContains(t, err, "LedgerStaleness is 1s here, and 5s for the registry")
	err = reopen(t, p, func(o *fsregistry.Options) { o.CommitDeadline = time.Second })
	require.ErrorContains(t, err, "CommitDeadline is 1s here, and 10s for the registry")
}

func TestWritesLeaveTheFieldsOfOthersAlone(t *testing.T) {
	ctx, p := t.Context(), emulatortest.Firestore(t)
	s, c := open(t, p), outside(t, p)
	move := ownership.Change{Entry: ownership.Entry{Type: ownership.Moved, From: "t_a", To: "t_b",
		Version: ownership.Version{Time: time.Unix(50, 0), Source: "//nexus", ID: "m"}}}
	requireAll(t, ownership.Applied, s.Apply(ctx, append(creations("x", 1), move)))
	documents, ledger := c.Collection(prefix+fsregistry.Collection), c.Collection(prefix+fsregistry.LedgerCollection)
	entry := ledgerEntry(c, "//nexus", "m")
	theirs := map[*client.DocumentRef]string{
		documents.Doc("thread__x-0"): "region", ledger.Doc("head"): "region", ledger.Doc("rewriting"): "region", entry: "region",
	}
	later := map[string]any{"region": "eu", "rewriting": map[string]any{"region": "eu"}}
	for ref := range theirs {
		_, err := ref.Set(ctx, later, client.MergeAll)
		require.NoError(t, err)
	}
	_, err := documents.Doc("thread__plain").Set(ctx, map[string]any{"tenant_id": "t_p", "region": "eu"})
	require.NoError(t, err)
	theirs[documents.Doc("thread__plain")] = "region"

	named := creations("x", 1)[0]
	named.Entry = ownership.Entry{Type: ownership.Moved, From: "t_b", To: "t_c", Version: ownership.Version{Time: time.Unix(60, 0), Source: "//nexus", ID: "n"}}
	plain := ownership.Change{Resource: registry.Resource{Kind: registry.Thread, ID: "plain"}, Entry: creations("x", 1)[0].Entry}
	outcomes := s.Apply(ctx, []ownership.Change{named, plain})
	require.Equal(t, ownership.Applied, outcomes[0].Kind)
	require.NotEqual(t, ownership.Failed, outcomes[1].Kind)
	job, err := storetest.LeaseJob(ctx, s, "worker", time.Minute)
	require.NoError(t, err)
	job.Entry.Rewriting.State = ownership.RewritingDone
	_, err = s.SaveJob(ctx, job)
	require.NoError(t, err)
	require.Equal(t, ownership.Applied, s.Apply(ctx, []ownership.Change{ownership.Retraction(ownership.Version{Source: "//nexus", ID: "m"}, "", "")})[0].Kind)
	for ref := range theirs {
		d, err := ref.Get(ctx)
		require.NoError(t, err)
		require.Equal(t, "eu", d.Data()["region"], ref.Path)
		if ref.ID == entry.ID {
			require.Equal(t, "eu", d.Data()["rewriting"].(map[string]any)["region"])
		}
	}
}

func TestAHistoryThatCannotBeReadIsLeftAlone(t *testing.T) {
	for name, value := range map[string]any{
		"an entry of an unknown type": []any{map[string]any{"type": "erased", "time": "2024-01-01T00:00:00Z", "source": "s", "id": "i"}},
		"an entry without a tenant":   []any{map[string]any{"type": "created", "time": "2024-01-01T00:00:00Z", "source": "s", "id": "i"}},
		"an entry without a time":     []any{map[string]any{"type": "created", "tenant": "t_a", "source": "s", "id": "i"}},
		"no array":                    "created",
		"no maps":                     []any{"created"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, p := t.Context(), emulatortest.Firestore(t)
			s, ref := open(t, p), outside(t, p).Collection(prefix+fsregistry.Collection).Doc("thread__x-0")
			requireAll(t, ownership.Applied, s.Apply(ctx, creations("x", 1)))
			_, err := ref.Update(ctx, []client.Update{{Path: "history", Value: value}})
			require.NoError(t, err)
			before, err := ref.Get(ctx)
			require.NoError(t, err)
			o := s.Apply(ctx, creations("x", 1))[0]
			require.ErrorIs(t, o.Err, registry.ErrTooNew)
			require.ErrorContains(t, o.Err, "thread__x-0")
			after, err := ref.Get(ctx)
			require.NoError(t, err)
			require.Equal(t, before.UpdateTime, after.UpdateTime)
		})
	}
}

func TestADocumentOfCommit1571751IsNotTakenForOurs(t *testing.T) {
	ctx, p := t.Context(), emulatortest.Firestore(t)
	s, ref := open(t, p), outside(t, p).Collection(prefix+fsregistry.Collection).Doc("thread__x-0")
	requireAll(t, ownership.Applied, s.Apply(ctx, creations("x", 1)))
	_, err := ref.Update(ctx, []client.Update{{Path: "format", Value: client.Delete}})
	require.NoError(t, err)
	o := s.Apply(ctx, creations("x", 1))[0]
	require.ErrorIs(t, o.Err, registry.ErrTooNew)
	require.ErrorIs(t, o.Err, registry.ErrNotUpgraded)
}

func TestAFeedEntryThatIsNotUnderstoodEmptiesEveryCacheOnce(t *testing.T) {
	ctx, p := t.Context(), emulatortest.Firestore(t)
	s, c := open(t, p), outside(t, p)
	requireAll(t, ownership.Applied, s.Apply(ctx, creations("x", 1)))
	unread := 0
	cursor := ownership.NewFeedCursor(func(entries []ownership.FeedEntry) {
		for _, e := range entries {
			require.ErrorIs(t, e.Unread, registry.ErrTooNew)
			unread++
		}
	})
	read := func() {
		t.Helper()
		_, err := s.Changes(ctx, cursor)
		require.NoError(t, err)
	}
	read()
	read()
	require.Zero(t, unread)
	_, _, err := c.Collection(prefix+fsregistry.FeedCollection).Add(ctx, map[string]any{
		"at": client.ServerTimestamp, "resource": "thread__x-0", "format": ownership.Format + 1, "region": "eu"})
	require.NoError(t, err)
	read()
	require.Equal(t, 1, unread, "it may be about anything")
	read()
	require.Equal(t, 1, unread, "what was read after it need not be dropped")
}
