package docdbtest

import (
	"cmp"
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
	q.Collection = cmp.Or(q.Collection, things)
	require.NoError(t, db.Query(t.Context(), q, func(d *docdb.Document) error {
		require.Equal(t, db.Name(q.Collection, path.Base(d.Name)), d.Name)
		require.NotNil(t, d.UpdateTime)
		found = append(found, path.Base(d.Name))
		return nil
	}))
	if q.Limit == 0 && q.After == "" && q.UpTo == "" {
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
	commit(t, db, set(db, "6", n(30)))
	having, sum, err := db.Sum(t.Context(), docdb.Query{Collection: things, OrderBy: "n"}, "n")
	require.NoError(t, err)
	require.Equal(t, []int64{2, 31}, []int64{having, sum}, "of those that have the field")
	having, sum, err = db.Sum(t.Context(), docdb.Query{Collection: things, OrderBy: "n", Any: []docdb.Filter{{Field: "n", Op: docdb.Greater, Value: docdb.Integer(1)}}}, "n")
	require.NoError(t, err)
	require.Equal(t, []int64{1, 30}, []int64{having, sum})
	commit(t, db, docdb.Write{Name: db.Name(things, "6"), Delete: true})
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
	from := docdb.Filter{Field: "at", Op: docdb.AtLeast, Value: since}
	require.Equal(t, []string{"7", "6", "5"}, ids(t, db, docdb.Query{OrderBy: "at", Any: []docdb.Filter{from}}))
	before := docdb.Filter{Field: "at", Op: docdb.Less, Value: docdb.Timestamp(at.Add(4 * time.Microsecond))}
	require.Equal(t, []string{"7", "6"}, ids(t, db, docdb.Query{OrderBy: "at", All: []docdb.Filter{from, before}}))
	require.Equal(t, []string{"7"}, ids(t, db, docdb.Query{OrderBy: "at", All: []docdb.Filter{from, before}, Limit: 1}))
}

// Timestamps that are spread over shards are in order for each of several values
// of another field, which takes a composite index: the feed has one.
func queryOfShards(t *testing.T, open func() docdb.DB) {
	const sharded = "realtime_registry_feed"
	db := open()
	at := time.Now().Truncate(time.Microsecond)
	after := func(i int64) *docdb.Value { return docdb.Timestamp(at.Add(time.Duration(i) * time.Microsecond)) }
	for i := range int64(6) {
		commit(t, db, docdb.Write{Name: db.Name(sharded, fmt.Sprint(i)), Fields: map[string]*docdb.Value{"shard": docdb.Integer(i % 3), "changed_at": after(i)}})
	}
	commit(t, db, docdb.Write{Name: db.Name(sharded, "none"), Fields: map[string]*docdb.Value{"changed_at": after(3)}})
	find := func(shards []*docdb.Value, filters ...docdb.Filter) []string {
		t.Helper()
		of := docdb.Filter{Field: "shard", Op: docdb.In, Value: docdb.Array(shards)}
		return ids(t, db, docdb.Query{Collection: sharded, OrderBy: "changed_at", All: append(filters, of)})
	}
	from := docdb.Filter{Field: "changed_at", Op: docdb.AtLeast, Value: after(1)}
	before := docdb.Filter{Field: "changed_at", Op: docdb.Less, Value: after(5)}
	require.Equal(t, []string{"1", "2", "3", "4", "5"}, find([]*docdb.Value{docdb.Integer(0), docdb.Integer(1), docdb.Integer(2)}, from))
	require.Equal(t, []string{"1", "3", "4"}, find([]*docdb.Value{docdb.Integer(0), docdb.Integer(1)}, from, before))
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
