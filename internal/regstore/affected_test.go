package regstore_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/docdb/firestoredb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

// Else a large tenant whose pages never come whole would never be rewritten.
func TestWhatCameOfAPageBeforeItFailedIsAPage(t *testing.T) {
	const documents, come = 10, 3
	p := emulatortest.Firestore(t)
	requireAll(t, ownership.Applied, open(t, p).Apply(t.Context(), creations("x", documents)))
	db, err := firestoredb.Open(t.Context(), firestoredb.Options{ProjectID: p.ID, Prefix: prefix, ClientOptions: p.FirestoreOptions()})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	breaks := func() error { return status.Error(codes.DeadlineExceeded, "the stream broke") }
	s, err := regstore.Open(t.Context(), docdbtest.Around(db, func(c *docdbtest.Call, do func() error) error {
		if c.Method == "Query" && c.Query.Collection == fsregistry.Collection {
			visit, n := c.Visit, 0
			c.Visit = func(d *docdb.Document) error {
				if n++; n > come {
					return breaks()
				}
				return visit(d)
			}
		}
		return do()
	}), regstore.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })

	page := ownership.Page{Tenants: []string{"t_a"}, Limit: 100}
	var names []string
	for more := true; more; {
		var records []ownership.Record
		records, more, err = s.Affected(ctx, page)
		require.NoError(t, err)
		for _, r := range records {
			page.After = r.Document
			names = append(names, r.Document)
		}
	}
	require.Len(t, names, documents)
	require.IsIncreasing(t, names)

	breaks = func() error { cancel(); return ctx.Err() }
	page.After = ""
	_, _, err = s.Affected(ctx, page)
	require.ErrorIs(t, err, context.Canceled, "nobody wants it any more")
}
