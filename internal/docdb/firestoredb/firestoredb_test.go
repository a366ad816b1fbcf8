package firestoredb_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/docdb/firestoredb"
)

func open(t *testing.T, o firestoredb.Options) *firestoredb.DB {
	t.Helper()
	db, err := firestoredb.Open(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

func TestFirestoreIsADocumentDatabase(t *testing.T) {
	docdbtest.Run(t, func(t *testing.T) func() docdb.DB {
		p := emulatortest.Firestore(t)
		return func() docdb.DB {
			return open(t, firestoredb.Options{ProjectID: p.ID, Prefix: "dev_", ClientOptions: p.FirestoreOptions()})
		}
	})
}

func TestASharedConnectionStaysOpenUntilItsOwnerClosesIt(t *testing.T) {
	p := emulatortest.Firestore(t)
	c, err := firestoredb.Dial(t.Context(), p.FirestoreOptions())
	require.NoError(t, err)
	defer c.Close()
	one := open(t, firestoredb.Options{ProjectID: p.ID, Connection: c})
	two := open(t, firestoredb.Options{ProjectID: p.ID, Prefix: "two_", Connection: c})
	require.NoError(t, one.Close())
	_, err = two.Commit(t.Context(), docdb.Write{Name: two.Name("things", "1")})
	require.NoError(t, err)
	found, _, err := one.Get(t.Context(), []string{one.Name("things", "1")})
	require.NoError(t, err)
	require.Empty(t, found, "prefixes part them")
}

func TestTheTransportRepeatsNothing(t *testing.T) {
	p, faults, meter := emulatortest.Firestore(t), wire.NewFaults(), wire.NewMeter()
	db := open(t, firestoredb.Options{ProjectID: p.ID, ClientOptions: p.FirestoreOptions(append(faults.DialOptions(), meter.DialOptions()...)...)})
	write := docdb.Write{Name: db.Name("things", "1")}
	for method, call := range map[string]func() error{
		"Commit":            func() error { _, err := db.Commit(t.Context(), write); return err },
		"BatchWrite":        func() error { _, err := db.BatchWrite(t.Context(), []docdb.Write{write}); return err },
		"BatchGetDocuments": func() error { _, _, err := db.Get(t.Context(), []string{write.Name}); return err },
		"RunQuery": func() error {
			return db.Query(t.Context(), docdb.Query{Collection: "things"}, func(*docdb.Document) error { return nil })
		},
		"RunAggregationQuery": func() error { _, err := db.Count(t.Context(), docdb.Query{Collection: "things"}); return err },
	} {
		for _, code := range []codes.Code{codes.Unavailable, codes.ResourceExhausted, codes.Internal, codes.DeadlineExceeded} {
			faults.Fail(method, code, 1)
			require.Equal(t, code, status.Code(call()), method)
		}
		require.NoError(t, call())
		require.Zero(t, faults.Left(), method)
	}
}

func TestOptionsAreValidated(t *testing.T) {
	err := firestoredb.Options{Prefix: "a/b"}.Validate()
	require.ErrorContains(t, err, "ProjectID")
	require.ErrorContains(t, err, "prefix")
}
