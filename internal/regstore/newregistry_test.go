package regstore_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	client "cloud.google.com/go/firestore"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

// stored is a document as commit 1571751 wrote it.
func stored(tenantID string) map[string]any {
	return map[string]any{"tenant_id": tenantID, "path": []string{tenantID}, "ledger": 0, "history": []map[string]any{
		{"type": "created", "tenant": tenantID, "time": "2024-01-01T00:00:00Z", "source": "//nexus", "id": "e1"}}}
}

func put(t *testing.T, c *client.Client, name string, fields map[string]any) {
	t.Helper()
	_, err := c.Collection(prefix+fsregistry.Collection).Doc(name).Set(t.Context(), fields)
	require.NoError(t, err)
}

func empty(t *testing.T, c *client.Client, collection string) bool {
	t.Helper()
	all, err := c.Collection(prefix + collection).Documents(t.Context()).GetAll()
	require.NoError(t, err)
	return len(all) == 0
}

// That commit made a head with the first move of a whole tenant, and many
// registries have never seen one.
func TestARegistryOfCommit1571751WithoutAHeadIsNotTakenForANewOne(t *testing.T) {
	for name, plain := range map[string]int{"alone": 0, "behind plain sets": 100} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := emulatortest.Firestore(t)
			before, err := fsregistry.Open(t.Context(), fsregistry.Options{ProjectID: p.ID, Prefix: prefix, ClientOptions: p.FirestoreOptions()})
			require.NoError(t, err, "it is empty")
			defer before.Close()
			c := outside(t, p)
			for i := range plain {
				put(t, c, fmt.Sprint("canvas__", i), map[string]any{"tenant_id": "t_p"})
				put(t, c, fmt.Sprint("thread__", i), map[string]any{"tenant_id": "t_p"})
			}
			put(t, c, "thread__of-1571751", stored("t_a"))

			err = reopen(t, p, nil)
			require.ErrorIs(t, err, registry.ErrNotUpgraded)
			require.ErrorIs(t, err, registry.ErrIncompatible)
			require.ErrorContains(t, err, "registry-worker upgrade")
			require.ErrorIs(t, before.Apply(t.Context(), creations("x", 1))[0].Err, registry.ErrNotUpgraded, "nor does one write that has started")
			_, err = before.Claim(t.Context(), "t_a", registry.Resource{Kind: registry.Canvas, ID: "c"})
			require.ErrorIs(t, err, registry.ErrNotUpgraded)
			require.True(t, empty(t, c, fsregistry.LedgerCollection), "nor is a head made")

			did, err := fsregistry.Upgrade(t.Context(), brief(p), fsregistry.UpgradeOptions{})
			require.NoError(t, err)
			require.EqualValues(t, 1, did.Written)
			require.Equal(t, "t_a", owner(t, p, "of-1571751"))
		})
	}
}

// brief shortens what Upgrade waits for. The head says so from then on.
func brief(p emulatortest.Project) fsregistry.Options {
	return fsregistry.Options{ProjectID: p.ID, Prefix: prefix, ClientOptions: p.FirestoreOptions(),
		LedgerStaleness: briefStaleness, CommitDeadline: briefDeadline}
}

const briefStaleness, briefDeadline = 100 * time.Millisecond, 5 * time.Second

// owner is who owns a thread, to a process that opens the registry.
func owner(t *testing.T, p emulatortest.Project, id string) string {
	t.Helper()
	s, err := fsregistry.Open(t.Context(), brief(p))
	require.NoError(t, err)
	defer s.Close()
	snapshot, err := s.Read(t.Context(), []registry.Resource{{Kind: registry.Thread, ID: id}})
	require.NoError(t, err)
	tenant, err := snapshot.Records[0].Owner(snapshot.Ledger)
	require.NoError(t, err)
	return tenant
}

// A release that has taken such a registry for a new one, since all that it
// looked at was plain, has made a head; what was under way of that commit may
// still be committed.
func TestUpgradeWaitsAlsoWhereThisReleaseHasBegun(t *testing.T) {
	t.Parallel() // it mostly waits
	p := emulatortest.Firestore(t)
	s, err := fsregistry.Open(t.Context(), brief(p))
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.MakeHead(t.Context()))
	c := outside(t, p)
	put(t, c, "thread__of-1571751", stored("t_a"))
	require.Equal(t, ownership.Applied, s.Apply(t.Context(), []ownership.Change{{Entry: ownership.Entry{
		Type: ownership.Moved, From: "t_a", To: "t_b", Version: ownership.Version{Time: time.Unix(1e9, 0), Source: "//n", ID: "m"}}}})[0].Kind)

	did, err := fsregistry.Upgrade(t.Context(), brief(p), fsregistry.UpgradeOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 1, did.Written)
	fence, err := c.Collection(prefix + fsregistry.LedgerCollection).Doc("fence").Get(t.Context())
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(fence.UpdateTime), briefStaleness+briefDeadline, "since the fence")
	require.Equal(t, "t_a", owner(t, p, "of-1571751"), "its creation is of 2024, the move older")
}

func TestAHeadThatSomebodyDeletedIsNotTakenForANewRegistry(t *testing.T) {
	t.Parallel() // it mostly waits
	p := emulatortest.Firestore(t)
	s, err := fsregistry.Open(t.Context(), brief(p))
	require.NoError(t, err)
	defer s.Close()
	resource := creations("x", 1)[0].Resource
	move := ownership.Change{Entry: ownership.Entry{Type: ownership.Moved, From: "t_a", To: "t_b",
		Version: ownership.Version{Time: time.Unix(1e9, 0), Source: "//n", ID: "m"}}}
	requireAll(t, ownership.Applied, s.Apply(t.Context(), append(creations("x", 1), move)))
	require.Equal(t, "t_b", owner(t, p, resource.ID))
	_, err = outside(t, p).Collection(prefix + fsregistry.LedgerCollection).Doc("head").Delete(t.Context())
	require.NoError(t, err)

	_, openErr := fsregistry.Open(t.Context(), brief(p))
	_, readErr := s.Read(t.Context(), []registry.Resource{resource})
	_, feedErr := s.Changes(t.Context(), ownership.NewFeedCursor(nil))
	_, claimErr := s.Claim(t.Context(), "t_a", registry.Resource{Kind: registry.Canvas, ID: "c"})
	move.Entry.ID = "m2"
	moveErr := s.Apply(t.Context(), []ownership.Change{move})[0].Err
	for what, err := range map[string]error{"open": openErr, "read": readErr, "changes": feedErr, "claim": claimErr, "move": moveErr} {
		require.ErrorIs(t, err, registry.ErrUnavailable, what)
		require.ErrorContains(t, err, prefix+"realtime_registry_ledger/head", what)
		require.ErrorContains(t, err, "registry-worker upgrade", what)
	}
	_, err = fsregistry.Upgrade(t.Context(), brief(p), fsregistry.UpgradeOptions{})
	require.NoError(t, err)
	require.Equal(t, "t_b", owner(t, p, resource.ID), "the ledger counts again")
	requireAll(t, ownership.Applied, s.Apply(t.Context(), []ownership.Change{move}))
	_, err = s.Read(t.Context(), []registry.Resource{resource})
	require.NoError(t, err, "who ran all the while goes on")
}

// A process that knew the lost registry would go on in an empty one, and give to others
// what tenants own.
func TestADatabaseThatLostItsRegistryIsNotMadeANewOne(t *testing.T) {
	p := emulatortest.Firestore(t)
	s, err := fsregistry.Open(t.Context(), brief(p))
	require.NoError(t, err)
	defer s.Close()
	requireAll(t, ownership.Applied, s.Apply(t.Context(), creations("x", 1)))
	c := outside(t, p)
	for _, name := range []string{fsregistry.Collection, fsregistry.LedgerCollection} {
		documents, err := c.Collection(prefix + name).DocumentRefs(t.Context()).GetAll()
		require.NoError(t, err)
		for _, d := range documents {
			_, err := d.Delete(t.Context())
			require.NoError(t, err)
		}
	}
	_, err = s.Claim(t.Context(), "t_evil", creations("x", 1)[0].Resource)
	require.ErrorIs(t, err, registry.ErrUnavailable)
	require.ErrorContains(t, err, "docs/recovery.md")
	_, err = fsregistry.Upgrade(t.Context(), brief(p), fsregistry.UpgradeOptions{})
	require.ErrorContains(t, err, "there is no registry in this database")
	require.ErrorContains(t, err, "docs/recovery.md")
	_, err = s.Claim(t.Context(), "t_evil", creations("x", 1)[0].Resource)
	require.ErrorIs(t, err, registry.ErrUnavailable)

	// provision makes a new registry there, or a process that starts and writes.
	n, err := fsregistry.Open(t.Context(), brief(p))
	require.NoError(t, err)
	defer n.Close()
	requireAll(t, ownership.Applied, n.Apply(t.Context(), creations("y", 1)))
	for range 2 {
		_, err = s.Read(t.Context(), []registry.Resource{creations("x", 1)[0].Resource})
		requireAnother(t, err)
		_, err = s.Claim(t.Context(), "t_evil", creations("x", 1)[0].Resource)
		requireAnother(t, err)
	}
	_, _, err = n.Recover(t.Context())
	require.NoError(t, err)
	_, err = s.Read(t.Context(), []registry.Resource{creations("y", 1)[0].Resource})
	require.NoError(t, err, "an operator says that it is the registry which goes on")
}

func requireAnother(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, registry.ErrUnavailable)
	require.ErrorContains(t, err, "it is of another registry")
	require.ErrorContains(t, err, "docs/recovery.md")
}

// Another process makes the head after this one has read that there is none, and
// before it looks whether the ledger has a past.
func TestProcessesThatBeginANewRegistryTogetherAllWrite(t *testing.T) {
	p := emulatortest.Firestore(t)
	other, err := fsregistry.Open(t.Context(), fsregistry.Options{ProjectID: p.ID, Prefix: prefix, ClientOptions: p.FirestoreOptions()})
	require.NoError(t, err)
	defer other.Close()
	queries := make(chan struct{}, 1) // has one while the other is to be faster
	between := grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
		if strings.HasSuffix(method, "/RunQuery") {
			select {
			case <-queries:
				assert.NoError(t, other.MakeHead(ctx))
			default:
			}
		}
		return streamer(ctx, desc, cc, method, o...)
	})
	s, err := fsregistry.Open(t.Context(), fsregistry.Options{ProjectID: p.ID, Prefix: prefix, ClientOptions: p.FirestoreOptions(between)})
	require.NoError(t, err)
	defer s.Close()
	queries <- struct{}{}
	requireAll(t, ownership.Applied, s.Apply(t.Context(), creations("x", 1)))
	require.Empty(t, queries, "the other was faster")
	requireAll(t, ownership.Applied, other.Apply(t.Context(), creations("y", 1)))
}

func TestToBeginANewRegistryCostsFourReads(t *testing.T) {
	p, meter := emulatortest.Firestore(t), wire.NewMeter()
	s, err := fsregistry.Open(t.Context(), fsregistry.Options{ProjectID: p.ID, Prefix: prefix, ClientOptions: p.FirestoreOptions(meter.DialOptions()...)})
	require.NoError(t, err)
	defer s.Close()
	require.LessOrEqual(t, meter.Reads(prefix+fsregistry.LedgerCollection), int64(2), "the head, and whether there is an entry")
	require.LessOrEqual(t, meter.Reads(prefix+fsregistry.Collection), int64(2), "whether there is a document, of each kind")
	requireAll(t, ownership.Applied, s.Apply(t.Context(), creations("x", 1)))
	meter.Reset()
	requireAll(t, ownership.Applied, s.Apply(t.Context(), creations("y", 100)))
	require.Zero(t, meter.Reads(prefix+fsregistry.Collection)+meter.Reads(prefix+fsregistry.LedgerCollection), "from then on nothing")
}
