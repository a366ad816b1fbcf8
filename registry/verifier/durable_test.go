package verifier_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	apiv1 "cloud.google.com/go/firestore/apiv1"
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// TestDurableRegistryBlocksWrongTenant is the product in one test: ownership
// that is kept in Firestore decides who may stream, even if the document that
// direct readers see is stale, and nobody gets in while the store is down.
func TestDurableRegistryBlocksWrongTenant(t *testing.T) {
	project := emulatortest.Firestore(t)
	faults := wire.NewFaults()
	open := func() *fsregistry.Store {
		store, err := fsregistry.Open(t.Context(), fsregistry.Options{
			ProjectID: project.ID, ClientOptions: project.FirestoreOptions(faults.DialOptions()...),
		})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, store.Close()) })
		return store
	}
	writer := open()
	claim(t, writer, "t_ann", thread("kept"))
	claim(t, writer, "t_ann", thread("moved"))
	claim(t, writer, "t_cat", thread("with-its-tenant"))
	claim(t, writer, "t_cat", registry.Resource{Kind: registry.Canvas, ID: "with-its-tenant"})
	move(t, writer, "t_ann", "t_bob", thread("moved"))
	move(t, writer, "t_cat", "t_dan", registry.Resource{})
	require.Equal(t, "t_cat", directReader(t, project, "thread__with-its-tenant"),
		"the document is stale: the verifier must not go by it")

	// Another process, which has seen none of this.
	v := newVerifier(t, open(), verifier.Options{Timeout: time.Second})
	refused := func(tenant, id string) {
		t.Helper()
		err := v.VerifyThreadAccess(t.Context(), tenant, id)
		require.True(t, err == registry.ErrNotFound, "%s asks for %s: %v", tenant, id, err) //nolint:errorlint // the value itself
	}
	allowed := func(tenant, id string) {
		t.Helper()
		require.NoError(t, v.VerifyThreadAccess(t.Context(), tenant, id), "%s asks for %s", tenant, id)
	}
	allowed("t_ann", "kept")
	refused("t_ann", "never-registered") // unregistered
	refused("t_bob", "kept")             // foreign
	refused("t_ann", "moved")            // moved away by name
	allowed("t_bob", "moved")            // moved here by name
	refused("t_cat", "with-its-tenant")  // moved away with everything; its document says otherwise
	allowed("t_dan", "with-its-tenant")  // moved here with everything
	refused("t_ann", "Kept")             // ids are case-sensitive
	require.NoError(t, v.VerifyCanvasAccess(t.Context(), "t_dan", "with-its-tenant"))
	require.ErrorIs(t, v.VerifyCanvasAccess(t.Context(), "t_ann", "kept"), registry.ErrNotFound)

	move(t, writer, "t_ann", "t_eve", thread("kept"))
	refused("t_ann", "kept") // the very next check after the move's commit
	allowed("t_eve", "kept")

	faults.Down(true)
	for _, tenant := range []string{"t_eve", "t_ann"} {
		began := time.Now()
		err := v.VerifyThreadAccess(t.Context(), tenant, "kept")
		require.ErrorIs(t, err, registry.ErrUnavailable)
		require.NotErrorIs(t, err, registry.ErrNotFound)
		require.Less(t, time.Since(began), 10*time.Second)
	}
	faults.Down(false)
	require.Eventually(t, func() bool { return v.VerifyThreadAccess(t.Context(), "t_eve", "kept") == nil },
		10*time.Second, 10*time.Millisecond, "and it recovers")
	refused("t_ann", "kept")
}

// What a create flow has claimed is found by the next check of any process.
func TestAClaimIsFoundByTheNextCheckOfAnotherProcess(t *testing.T) {
	project := emulatortest.Firestore(t)
	open := func() *fsregistry.Store {
		store, err := fsregistry.Open(t.Context(), fsregistry.Options{ProjectID: project.ID, ClientOptions: project.FirestoreOptions()})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, store.Close()) })
		return store
	}
	writer, v := open(), newVerifier(t, open(), verifier.Options{})
	for i := range 100 {
		r := thread(fmt.Sprintf("th_%d", i))
		claim(t, writer, "t_ann", r)
		require.NoError(t, v.Verify(t.Context(), "t_ann", r))
		require.ErrorIs(t, v.Verify(t.Context(), "t_bob", r), registry.ErrNotFound)
	}
}

// directReader reads tenant_id as programs do that know nothing of the fold.
func directReader(t *testing.T, project emulatortest.Project, document string) string {
	t.Helper()
	client, err := apiv1.NewClient(t.Context(), project.FirestoreOptions()...)
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	doc, err := client.GetDocument(context.Background(), &firestorepb.GetDocumentRequest{
		Name: fmt.Sprintf("projects/%s/databases/(default)/documents/realtime_registry/%s", project.ID, document),
	})
	require.NoError(t, err)
	return doc.Fields["tenant_id"].GetStringValue()
}
