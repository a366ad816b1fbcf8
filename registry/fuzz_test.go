package registry_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
)

// Whatever names a document is the one name of its resource, stays within the
// collection, and is what a document of Firestore may be called.
func FuzzDocumentNames(f *testing.F) {
	for _, name := range []string{
		"thread__th_1", "canvas__a.~:@+=-Z", "thread__", "thread__a__b", "canvas____x", "media__x", "thread", "__thread__x", "thread__../x",
		"thread__" + strings.Repeat("a", 256), "thread__é", "thread__a\n", "Thread__a", "thread__\xff", "thread__a/b",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		r, err := registry.ParseDocumentID(name)
		if err != nil {
			require.ErrorIs(t, err, registry.ErrInvalid)
			return
		}
		require.NoError(t, r.Validate())
		require.Equal(t, name, r.DocumentID())
		// https://firebase.google.com/docs/firestore/quotas#collections_documents_and_fields
		require.LessOrEqual(t, len(name), 1500)
		require.NotContains(t, name, "/")
		require.NotContains(t, []string{".", ".."}, name)
		require.False(t, strings.HasPrefix(name, "__"), "reserved: __.*__")
	})
}

// A tenant that is valid can be sent in a header as it is, and stands in a document's
// name beside an action that the last two underscores split off.
func FuzzTenants(f *testing.F) {
	for _, tenant := range []string{"t_a", "t_", "t_A", "t_a_", "t__", "t_a-b_c", "t_" + strings.Repeat("a", 126), "t_a\n", "t_é", "x_a", " t_a"} {
		f.Add(tenant)
	}
	f.Fuzz(func(t *testing.T, tenant string) {
		if err := registry.ValidateTenant(tenant); err != nil {
			require.ErrorIs(t, err, registry.ErrInvalid)
			return
		}
		h := http.Header{}
		h.Set("X-Tenant-Id", tenant)
		require.Equal(t, strings.TrimSpace(tenant), h.Get("X-Tenant-Id"))
		const action = "stream_resume"
		document := tenant + "__" + action
		last := strings.LastIndex(document, "__")
		require.Equal(t, []string{tenant, action}, []string{document[:last], document[last+2:]})
	})
}

// The name that a claim gives its event is kept as it was given, or refused.
func FuzzClaimedEvents(f *testing.F) {
	f.Add("//nexus/threads", "e-1")
	f.Add("", "e-1")
	f.Add("//nexus", "")
	f.Add("registry", "thread__th_1__t_a")
	f.Add("\xff", strings.Repeat("x", 1025))
	f.Fuzz(func(t *testing.T, source, id string) {
		if err := registry.ForEvent(source, id).Validate(); err != nil {
			require.ErrorIs(t, err, registry.ErrInvalid)
		}
	})
}
