// Package docdbtest is the suite that every docdb.DB passes.
package docdbtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
)

// Run runs the suite, each test on an empty database. open opens it, as often as
// a test wants it.
func Run(t *testing.T, backend func(t *testing.T) (open func() docdb.DB)) {
	for name, test := range map[string]func(*testing.T, func() docdb.DB){
		"what was committed is read, as of a time that is not before":      committedIsRead,
		"a commit is all or nothing":                                       allOrNothing,
		"a condition holds only for what was read":                         conditions,
		"of writes at once one wins":                                       oneWins,
		"a batch writes each for itself":                                   eachForItself,
		"commit times grow, and are the documents' update times":           timesGrow,
		"a mask leaves alone what it does not name":                        masks,
		"a write without a mask replaces":                                  replaces,
		"a write that changes nothing has the document's update time":      changesNothing,
		"times are those of the database, and not after the commit":        requestTimes,
		"what was removed is gone":                                         removed,
		"a query finds by any of its filters, each document once":          queryFilters,
		"a query by name goes on behind a name":                            queryByName,
		"a query by a field leaves out who does not have it":               queryByField,
		"a query returns what it selects":                                  querySelects,
		"a query of shards is in the order of their times":                 queryOfShards,
		"a query as of a time finds what was there then":                   queryAt,
		"a query ends at its visitor's error":                              queryEnds,
		"a call whose context has ended does nothing":                      contextEnded,
		"a listener is told what there is, and what changes":               listens,
		"a listener is told who joins and who leaves what its query finds": listensToQuery,
		"a listener ends with its context":                                 listenEnds,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, backend(t))
		})
	}
}

const things = "things"

func set(db docdb.DB, id string, fields map[string]*docdb.Value) docdb.Write {
	return docdb.Write{Name: db.Name(things, id), Fields: fields}
}

func n(i int64) map[string]*docdb.Value { return map[string]*docdb.Value{"n": docdb.Integer(i)} }

func commit(t *testing.T, db docdb.DB, writes ...docdb.Write) docdb.Receipt {
	t.Helper()
	receipt, err := db.Commit(t.Context(), writes...)
	require.NoError(t, err)
	return receipt
}

// get returns a document, nil if there is none, and the time of the read.
func get(t *testing.T, db docdb.DB, id string) (*docdb.Document, time.Time) {
	t.Helper()
	found, at, err := db.Get(t.Context(), []string{db.Name(things, id)})
	require.NoError(t, err)
	return found[db.Name(things, id)], at
}

func committedIsRead(t *testing.T, open func() docdb.DB) {
	a, b := open(), open()
	receipt := commit(t, a, set(a, "1", n(1)), set(a, "2", n(2)))
	found, at, err := b.Get(t.Context(), []string{b.Name(things, "2"), b.Name(things, "none"), b.Name(things, "1"), b.Name(things, "2")})
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.False(t, at.Before(receipt.At))
	for id, want := range map[string]int64{"1": 1, "2": 2} {
		d := found[b.Name(things, id)]
		require.Equal(t, b.Name(things, id), d.GetName())
		require.Equal(t, want, d.GetFields()["n"].GetIntegerValue())
		require.Equal(t, receipt.At, d.GetUpdateTime().AsTime())
	}
	_, at, err = b.Get(t.Context(), []string{b.Name(things, "none")})
	require.NoError(t, err)
	require.False(t, at.Before(receipt.At), "the absence of a document is of a time too")
}

func allOrNothing(t *testing.T, open func() docdb.DB) {
	db := open()
	commit(t, db, set(db, "1", n(1)))
	second := set(db, "1", n(3))
	second.If = docdb.Absent
	_, err := db.Commit(t.Context(), set(db, "2", n(2)), second)
	require.True(t, docdb.LostTheRace(err), err)
	d, _ := get(t, db, "2")
	require.Nil(t, d)
	d, _ = get(t, db, "1")
	require.EqualValues(t, 1, d.Fields["n"].GetIntegerValue())
}

func conditions(t *testing.T, open func() docdb.DB) {
	db := open()
	first := set(db, "1", n(1))
	first.If = docdb.AsRead(nil)
	commit(t, db, first)
	_, err := db.Commit(t.Context(), first)
	require.True(t, docdb.LostTheRace(err), err)

	d, _ := get(t, db, "1")
	second := set(db, "1", n(2))
	second.If = docdb.AsRead(d)
	commit(t, db, second)
	second.Fields = n(3)
	_, err = db.Commit(t.Context(), second)
	require.True(t, docdb.LostTheRace(err), "it has changed since: %v", err)
	never := set(db, "never", n(3))
	never.If = docdb.AsRead(d)
	_, err = db.Commit(t.Context(), never)
	require.True(t, docdb.LostTheRace(err), "it is not there: %v", err)
	d, _ = get(t, db, "1")
	require.EqualValues(t, 2, d.Fields["n"].GetIntegerValue())
}

func oneWins(t *testing.T, open func() docdb.DB) {
	const writers = 8
	won := make(chan bool, writers)
	for i := range writers {
		db := open()
		go func() {
			w := set(db, "1", n(int64(i)))
			w.If = docdb.Absent
			_, err := db.Commit(t.Context(), w)
			won <- err == nil
		}()
	}
	wins := 0
	for range writers {
		if <-won {
			wins++
		}
	}
	require.Equal(t, 1, wins)
}

func eachForItself(t *testing.T, open func() docdb.DB) {
	db := open()
	commit(t, db, set(db, "1", n(1)))
	writes := []docdb.Write{set(db, "1", n(2)), set(db, "2", n(2)), set(db, "3", n(2))}
	writes[0].If, writes[1].If = docdb.Absent, docdb.Absent
	writes[2].If = docdb.Condition{Updated: time.Unix(1, 0)}
	results, err := db.BatchWrite(t.Context(), writes)
	require.NoError(t, err)
	require.Len(t, results, 3)
	require.Equal(t, codes.AlreadyExists, results[0])
	require.Equal(t, codes.OK, results[1])
	require.True(t, docdb.LostRace(results[2]), results[2])
	results, err = db.BatchWrite(t.Context(), []docdb.Write{set(db, "3", n(3)), set(db, "4", n(3))})
	require.NoError(t, err)
	require.Equal(t, []codes.Code{codes.OK, codes.OK}, results)
	for id, want := range map[string]int64{"1": 1, "2": 2, "3": 3, "4": 3} {
		d, _ := get(t, db, id)
		require.Equal(t, want, d.GetFields()["n"].GetIntegerValue(), id)
	}
}

func timesGrow(t *testing.T, open func() docdb.DB) {
	var last time.Time
	for i := range 10 {
		db := open()
		receipt := commit(t, db, set(db, "1", n(int64(i))), set(db, "2", n(int64(i))))
		require.True(t, receipt.At.After(last), "%v after %v", receipt.At, last)
		require.Equal(t, []time.Time{receipt.At, receipt.At}, receipt.Updated)
		d, at := get(t, db, "2")
		require.Equal(t, receipt.At, d.UpdateTime.AsTime())
		require.False(t, at.Before(receipt.At))
		last = at
	}
}

func masks(t *testing.T, open func() docdb.DB) {
	db := open()
	fields := map[string]*docdb.Value{
		"ours": docdb.Integer(1), "old": docdb.Integer(1), "theirs": docdb.Text("x"),
		"map": docdb.Map(map[string]*docdb.Value{"ours": docdb.Integer(1), "old": docdb.Integer(1), "theirs": docdb.Text("y")}),
	}
	for _, id := range []string{"there", "absent"} {
		if id == "there" {
			commit(t, db, set(db, id, fields))
		}
		before, _ := get(t, db, id)
		w := set(db, id, map[string]*docdb.Value{"ours": docdb.Integer(2), "map": docdb.Map(map[string]*docdb.Value{"ours": docdb.Integer(2)})})
		w.Mask = []string{"ours", "old", "map.ours", "map.old", "never.there"}
		w.If = docdb.AsRead(before)
		commit(t, db, w)
		d, _ := get(t, db, id)
		for _, f := range []map[string]*docdb.Value{d.Fields, d.Fields["map"].GetMapValue().GetFields()} {
			require.EqualValues(t, 2, f["ours"].GetIntegerValue(), id)
			require.NotContains(t, f, "old", id)
			require.Equal(t, id == "there", f["theirs"] != nil, id)
		}
		require.NotContains(t, d.Fields, "never", id)
	}
}

func replaces(t *testing.T, open func() docdb.DB) {
	db := open()
	commit(t, db, set(db, "1", map[string]*docdb.Value{"a": docdb.Integer(1), "b": docdb.Integer(1)}))
	commit(t, db, set(db, "1", map[string]*docdb.Value{"a": docdb.Integer(2)}))
	d, _ := get(t, db, "1")
	require.Len(t, d.Fields, 1)
}

func changesNothing(t *testing.T, open func() docdb.DB) {
	db := open()
	commit(t, db, set(db, "1", n(1)))
	receipt := commit(t, db, set(db, "1", n(1)))
	d, _ := get(t, db, "1")
	require.Equal(t, d.UpdateTime.AsTime(), receipt.Updated[0])
	require.False(t, receipt.Updated[0].After(receipt.At))
}

func requestTimes(t *testing.T, open func() docdb.DB) {
	db := open()
	_, before := get(t, db, "1")
	w := set(db, "1", map[string]*docdb.Value{"map": docdb.Map(map[string]*docdb.Value{"a": docdb.Integer(1)})})
	w.Times = []string{"at", "map.at"}
	for _, mask := range [][]string{nil, {"map.a"}} {
		w.Mask = mask
		receipt := commit(t, db, w)
		d, _ := get(t, db, "1")
		at := d.Fields["at"].GetTimestampValue().AsTime()
		require.False(t, at.Before(before))
		require.False(t, at.After(receipt.At))
		inner := d.Fields["map"].GetMapValue().GetFields()
		require.Equal(t, at, inner["at"].GetTimestampValue().AsTime())
		require.EqualValues(t, 1, inner["a"].GetIntegerValue())
		require.NotContains(t, w.Fields, "at", "what was given to be written stays as it is")
	}
}

func removed(t *testing.T, open func() docdb.DB) {
	db := open()
	commit(t, db, set(db, "1", n(1)))
	d, _ := get(t, db, "1")
	commit(t, db, docdb.Write{Name: db.Name(things, "1"), Delete: true}, docdb.Write{Name: db.Name(things, "none"), Delete: true})
	gone, _ := get(t, db, "1")
	require.Nil(t, gone)
	w := set(db, "1", n(2))
	w.If = docdb.AsRead(d)
	_, err := db.Commit(t.Context(), w)
	require.True(t, docdb.LostTheRace(err), err)
	w.If = docdb.Absent
	commit(t, db, w)
}

func contextEnded(t *testing.T, open func() docdb.DB) {
	db := open()
	for want, ctx := range map[codes.Code]context.Context{codes.Canceled: cancelled(), codes.DeadlineExceeded: late()} {
		_, err := db.Commit(ctx, set(db, "1", n(1)))
		require.Equal(t, want, status.Code(err), err)
		_, err = db.BatchWrite(ctx, []docdb.Write{set(db, "1", n(1))})
		require.Equal(t, want, status.Code(err), err)
		_, _, err = db.Get(ctx, []string{db.Name(things, "1")})
		require.Equal(t, want, status.Code(err), err)
		require.Equal(t, want, status.Code(db.Query(ctx, docdb.Query{Collection: things}, nil)))
		_, err = db.Count(ctx, docdb.Query{Collection: things})
		require.Equal(t, want, status.Code(err), err)
		_, _, err = db.Sum(ctx, docdb.Query{Collection: things}, "n")
		require.Equal(t, want, status.Code(err), err)
	}
	d, _ := get(t, db, "1")
	require.Nil(t, d)
}

func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func late() context.Context {
	ctx, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	cancel()
	return ctx
}

var errStop = errors.New("stop")
