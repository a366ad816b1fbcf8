package memregistry_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

// What a store in memory is, is held by internal/regstore.
func TestHandlesShareTheDocuments(t *testing.T) {
	store := memregistry.New()
	thread := registry.Resource{Kind: registry.Thread, ID: "1"}
	created, err := store.Claim(t.Context(), "t_ann", thread)
	require.NoError(t, err)
	require.True(t, created)
	store.SetPlain("canvas__1", "t_bob", false)
	snapshot, err := store.Open(memregistry.Options{}).Read(t.Context(), []registry.Resource{thread, {Kind: registry.Canvas, ID: "1"}})
	require.NoError(t, err)
	for i, owner := range []string{"t_ann", "t_bob"} {
		require.Equal(t, owner, snapshot.Records[i].History.Owner(snapshot.Ledger))
	}
	require.LessOrEqual(t, store.WriterHorizon(), 2*time.Second, "rewriting is soon over")
}
