package docdbtest

import (
	"fmt"
	"path"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
)

// ids are those of the documents that a query finds, in their order.
func ids(t *testing.T, db docdb.DB, q docdb.Query) (found []string) {
	t.Helper()
	q.Collection = things
	require.NoError(t, db.Query(t.Context(), q, func(d *docdb.Document) error {
		require.Equal(t, db.Name(things, path.Base(d.Name)), d.Name)
		require.NotNil(t, d.UpdateTime)
		found = append(found, path.Base(d.Name))
		return nil
	}))
	if q.Limit == 0 && q.After == "" && q.UpTo == "" && q.At.IsZero() {
		counted, err := db.Count(t.Context(), q)
		require.NoError(t, err)
		require.EqualValues(t, len(found), counted)
	}
	return found
}

func queryFilters(t *testing.T, open func() docdb.DB) {
	db := open()
	tagged := func(id, owner string, tags ...string) docdb.Write {
		return set(db, id, map[string]*docdb.Value{"owner": docdb.Text(owner), "tags": docdb.Texts(tags)})
	}
	commit(t, db, tagged("1", "a", "x", "a"), tagged("2", "b", "a"), tagged("3", "a"), tagged("4", "b"), set(db, "5", n(1)),
		docdb.Write{Name: db.Name("others", "1"), Fields: map[string]*docdb.Value{"owner": docdb.Text("a")}})
	owner := func(v *docdb.Value) docdb.Filter { return docdb.Filter{Field: "owner", Op: docdb.Equal, Value: v} }
	tag := func(s string) docdb.Filter {
		return docdb.Filter{Field: "tags", Op: docdb.Contains, Value: docdb.Text(s)}
	}
	require.Equal(t, []string{"1", "2", "3", "4", "5"}, ids(t, db, docdb.Query{}))
	require.Equal(t, []string{"1", "3"}, ids(t, db, docdb.Query{Any: []docdb.Filter{owner(docdb.Text("a"))}}))
	require.Equal(t, []string{"1", "2", "3"}, ids(t, db, docdb.Query{Any: []docdb.Filter{tag("a"), owner(docdb.Text("a"))}}))
	require.Equal(t, []string{"2", "3"}, ids(t, db, docdb.Query{Any: []docdb.Filter{tag("a"), owner(docdb.Text("a"))}, After: db.Name(things, "1"), Limit: 2}))
	require.Empty(t, ids(t, db, docdb.Query{Any: []docdb.Filter{owner(docdb.Integer(1))}}))
	require.Empty(t, ids(t, db, docdb.Query{Any: []docdb.Filter{tag("none")}}))
}

func queryByName(t *testing.T, open func() docdb.DB) {
	db := open()
	for _, id := range []string{"b", "a_", "a-", "B", "é", "a"} {
		commit(t, db, set(db, id, n(1)))
	}
	all := []string{"B", "a", "a-", "a_", "b", "é"} // as bytes
	require.Equal(t, all, ids(t, db, docdb.Query{}))
	for i, id := range all {
		require.Equal(t, all[i+1:], append([]string{}, ids(t, db, docdb.Query{After: db.Name(things, id)})...))
	}
	require.Equal(t, []string{"a-", "a_"}, ids(t, db, docdb.Query{After: db.Name(things, "a"), Limit: 2}))
	require.Equal(t, []string{"b", "é"}, ids(t, db, docdb.Query{After: db.Name(things, "az"), Limit: 5}), "also behind one that is not there")
	require.Equal(t, []string{"a-", "a_"}, ids(t, db, docdb.Query{After: db.Name(things, "a"), UpTo: db.Name(things, "a_")}))
	require.Equal(t, []string{"B", "a"}, ids(t, db, docdb.Query{UpTo: db.Name(things, "a,")}), "also up to one that is not there")
}

func queryByField(t *testing.T, open func() docdb.DB) {
	db := open()
	at := time.Now().Truncate(time.Microsecond)
	for i := range int64(5) {
		commit(t, db, set(db, fmt.Sprint(9-i), map[string]*docdb.Value{"n": docdb.Integer(i), "at": docdb.Timestamp(at.Add(time.Duration(i) * time.Microsecond))}))
	}
	commit(t, db, set(db, "none", nil), set(db, "text", map[string]*docdb.Value{"n": docdb.Text("9")}))
	above := func(op docdb.Op, v *docdb.Value) []docdb.Filter {
		return []docdb.Filter{{Field: "n", Op: op, Value: v}}
	}
	require.Equal(t, []string{"9", "8", "7", "6", "5"}, ids(t, db, docdb.Query{OrderBy: "n", Any: above(docdb.AtLeast, docdb.Integer(0))}))
	require.Equal(t, []string{"7", "6", "5"}, ids(t, db, docdb.Query{OrderBy: "n", Any: above(docdb.Greater, docdb.Integer(1))}))
	require.Equal(t, []string{"8", "7"}, ids(t, db, docdb.Query{OrderBy: "n", Any: above(docdb.AtLeast, docdb.Integer(1)), Limit: 2}))
	since := docdb.Timestamp(at.Add(2 * time.Microsecond))
	require.Equal(t, []string{"7", "6", "5"}, ids(t, db, docdb.Query{OrderBy: "at", Any: []docdb.Filter{{Field: "at", Op: docdb.AtLeast, Value: since}}}))
}

func querySelects(t *testing.T, open func() docdb.DB) {
	db := open()
	commit(t, db, set(db, "1", map[string]*docdb.Value{"a": docdb.Integer(1), "b": docdb.Integer(2)}))
	require.NoError(t, db.Query(t.Context(), docdb.Query{Collection: things, Select: []string{"b", "c"}}, func(d *docdb.Document) error {
		require.Len(t, d.Fields, 1)
		require.EqualValues(t, 2, d.Fields["b"].GetIntegerValue())
		return nil
	}))
	d, _ := get(t, db, "1")
	require.Len(t, d.Fields, 2)
}

func queryAt(t *testing.T, open func() docdb.DB) {
	db := open()
	commit(t, db, set(db, "1", n(1)), set(db, "2", n(2)), set(db, "3", n(3)))
	_, at := get(t, db, "1")
	commit(t, db, set(db, "1", n(-1)), set(db, "4", n(4)), docdb.Write{Name: db.Name(things, "2"), Delete: true})
	q := docdb.Query{OrderBy: "n", Any: []docdb.Filter{{Field: "n", Op: docdb.Greater, Value: docdb.Integer(0)}}}
	require.Equal(t, []string{"3", "4"}, ids(t, db, q))
	q.At = at
	require.Equal(t, []string{"1", "2", "3"}, ids(t, db, q))
}

func queryEnds(t *testing.T, open func() docdb.DB) {
	db := open()
	commit(t, db, set(db, "1", n(1)), set(db, "2", n(2)))
	visits := 0
	require.Equal(t, errStop, db.Query(t.Context(), docdb.Query{Collection: things}, func(*docdb.Document) error {
		visits++
		return errStop
	}))
	require.Equal(t, 1, visits)
}
