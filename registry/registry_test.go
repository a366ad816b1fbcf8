package registry_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
)

func TestRegisteringAndAskingForTheTenant(t *testing.T) {
	r := registry.New(memregistry.New())
	require.NoError(t, r.RegisterThread(t.Context(), "t_a", "1"))
	require.NoError(t, r.RegisterThread(t.Context(), "t_a", "1"), "repeating it is no error")
	require.ErrorIs(t, r.RegisterThread(t.Context(), "t_b", "1"), registry.ErrConflict)
	require.NoError(t, r.RegisterCanvas(t.Context(), "t_b", "1"), "a canvas is not a thread")

	tenant, err := r.ThreadTenant(t.Context(), "1")
	require.NoError(t, err)
	require.Equal(t, "t_a", tenant)
	tenant, err = r.CanvasTenant(t.Context(), "1")
	require.NoError(t, err)
	require.Equal(t, "t_b", tenant)
	_, err = r.ThreadTenant(t.Context(), "2")
	require.ErrorIs(t, err, registry.ErrNotFound)
}

func TestWhatBreaksAPatternIsInvalid(t *testing.T) {
	r := registry.New(memregistry.New())
	for _, tenant := range []string{"", "a", "t_", "T_a", "t_A", "t_a/b", "t_a ", "t_é"} {
		require.ErrorIs(t, r.RegisterThread(t.Context(), tenant, "1"), registry.ErrInvalid, "%q", tenant)
	}
	for _, id := range []string{"", ".", "_a", "a/b", "a b", "é", "a\x00", "a\n"} {
		require.ErrorIs(t, r.RegisterThread(t.Context(), "t_a", id), registry.ErrInvalid, "%q", id)
		_, err := r.CanvasTenant(t.Context(), id)
		require.ErrorIs(t, err, registry.ErrInvalid, "%q", id)
	}
}

func TestDocumentNamesAreInjectiveAndParseBack(t *testing.T) {
	seen := map[string]registry.Resource{}
	for _, kind := range registry.Kinds() {
		for _, id := range []string{"a", "A", "thread__a", "canvas__a", "a__b", "a._~:@+=-", "0"} {
			r := registry.Resource{Kind: kind, ID: id}
			require.NoError(t, r.Validate())
			name := r.DocumentID()
			require.NotContains(t, seen, name)
			seen[name] = r
			back, err := registry.ParseDocumentID(name)
			require.NoError(t, err)
			require.Equal(t, r, back)
		}
	}
	for _, name := range []string{"thread", "thread_a", "user__a", "thread__", "thread__a/b", "__a"} {
		_, err := registry.ParseDocumentID(name)
		require.ErrorIs(t, err, registry.ErrInvalid, name)
	}
}
