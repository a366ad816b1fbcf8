package memdb_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
)

func TestMemoryIsADocumentDatabase(t *testing.T) {
	docdbtest.Run(t, func(*testing.T) func() docdb.DB {
		db := memdb.New(time.Now)
		return func() docdb.DB { return db }
	})
}

func TestCommitTimesGrowWhateverTheClockDoes(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	db := memdb.New(func() time.Time { return now })
	last := time.Time{}
	for i := range 10 {
		receipt, err := db.Commit(t.Context(), docdb.Write{Name: db.Name("things", "1"), Fields: map[string]*docdb.Value{"n": docdb.Integer(int64(i))}})
		require.NoError(t, err)
		_, at, err := db.Get(t.Context(), []string{db.Name("things", "1")})
		require.NoError(t, err)
		require.True(t, receipt.At.After(last), "no commit has the time of a read before it")
		last = at
		now = now.Add(time.Duration(i%3-1) * time.Second)
	}
}

func TestWhatWasCanBeReadForAWhileAndIsForgottenThen(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	db := memdb.New(func() time.Time { return now })
	write := func(n int64) time.Time {
		receipt, err := db.Commit(t.Context(), docdb.Write{Name: db.Name("things", "1"), Fields: map[string]*docdb.Value{"n": docdb.Integer(n)}})
		require.NoError(t, err)
		return receipt.At
	}
	for i := range int64(20) {
		at := write(i)
		now = now.Add(4 * time.Minute)
		write(-1)
		found := int64(-2)
		require.NoError(t, db.Query(t.Context(), docdb.Query{Collection: "things", At: at}, func(d *docdb.Document) error {
			found = d.Fields["n"].GetIntegerValue()
			return nil
		}))
		require.Equal(t, i, found)
		now = now.Add(4 * time.Minute)
		require.Error(t, db.Query(t.Context(), docdb.Query{Collection: "things", At: at}, nil))
	}
}

func TestExpiredDocumentsAreDropped(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	db := memdb.New(func() time.Time { return now })
	for i := range 20_000 {
		now = now.Add(time.Second)
		_, err := db.Commit(t.Context(), docdb.Write{Name: db.Name("things", fmt.Sprint(i)), Fields: map[string]*docdb.Value{
			"expires_at": docdb.Timestamp(now.Add(time.Minute)),
		}})
		require.NoError(t, err)
	}
	require.Less(t, db.Len("things"), 2048)
}

// Large collections are asked by an index. It is made at the first query, and what is
// written, changed and removed afterwards has to be found as it is, and as it was.
func TestWhatALargeCollectionHasIsFoundAsItIsAndAsItWas(t *testing.T) {
	db := memdb.New(time.Now)
	const many = 1000
	write := func(i int, owner string, tags ...string) {
		_, err := db.Commit(t.Context(), docdb.Write{Name: db.Name("things", fmt.Sprintf("%04d", i)),
			Fields: map[string]*docdb.Value{"owner": docdb.Text(owner), "tags": docdb.Texts(tags)}})
		require.NoError(t, err)
	}
	find := func(at time.Time, after string) (found []string) {
		require.NoError(t, db.Query(t.Context(), docdb.Query{Collection: "things", After: after, At: at, Any: []docdb.Filter{
			{Field: "owner", Op: docdb.Equal, Value: docdb.Text("a")}, {Field: "tags", Op: docdb.Contains, Value: docdb.Text("a")},
		}}, func(d *docdb.Document) error {
			found = append(found, d.Name)
			return nil
		}))
		return found
	}
	for i := range many {
		write(i, "x", "y")
	}
	write(900, "a")
	write(3, "x", "y", "a")
	write(4, "a", "a")
	require.Equal(t, []string{"things/0003", "things/0004", "things/0900"}, find(time.Time{}, ""))
	_, then, err := db.Get(t.Context(), nil)
	require.NoError(t, err)
	write(900, "x")
	write(4, "x", "a")
	write(many, "a")
	_, err = db.Commit(t.Context(), docdb.Write{Name: "things/0003", Delete: true})
	require.NoError(t, err)
	require.Equal(t, []string{"things/0004", "things/1000"}, find(time.Time{}, ""))
	require.Equal(t, []string{"things/1000"}, find(time.Time{}, "things/0004"))
	require.Equal(t, []string{"things/0003", "things/0004", "things/0900"}, find(then, ""))
	require.Empty(t, find(then, "things/0900"))
}
