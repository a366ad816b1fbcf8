package docdbtest

import (
	"context"
	"path"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
)

// soon bounds what a test waits for that is a matter of milliseconds.
const soon = 30 * time.Second

// view is what a listener has been told, by target and id.
type view struct {
	t      *testing.T
	db     docdb.DB
	events chan docdb.Event
	ended  chan error
	found  []map[string]int64
}

func listen(t *testing.T, db docdb.DB, targets ...docdb.Target) *view {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	v := &view{t: t, db: db, events: make(chan docdb.Event, 1000), ended: make(chan error, 1)}
	for range targets {
		v.found = append(v.found, map[string]int64{})
	}
	go func() { v.ended <- db.Listen(ctx, targets, func(e docdb.Event) { v.events <- e }) }()
	t.Cleanup(cancel)
	return v
}

// await takes events until all is told and the view is as wanted.
func (v *view) await(want ...map[string]int64) {
	v.t.Helper()
	deadline := time.After(soon)
	for {
		select {
		case e := <-v.events:
			switch {
			case e.Whole:
				if equal(want, v.found) {
					return
				}
			case e.Document != nil:
				v.found[e.Target][path.Base(e.Document.Name)] = e.Document.Fields["n"].GetIntegerValue()
			default:
				require.Equal(v.t, v.db.Name(things, path.Base(e.Gone)), e.Gone)
				delete(v.found[e.Target], path.Base(e.Gone))
			}
		case err := <-v.ended:
			require.FailNow(v.t, "the listener ended", err)
		case <-deadline:
			require.Equal(v.t, want, v.found)
		}
	}
}

func equal(a, b []map[string]int64) bool {
	for i := range a {
		if len(a[i]) != len(b[i]) {
			return false
		}
		for id, n := range a[i] {
			if b[i][id] != n || b[i][id] == 0 {
				return false
			}
		}
	}
	return true
}

func listens(t *testing.T, open func() docdb.DB) {
	db := open()
	commit(t, db, set(db, "1", n(1)), set(db, "2", n(2)))
	v := listen(t, open(), docdb.Target{Query: docdb.Query{Collection: things}}, docdb.Target{Document: db.Name(things, "head")})
	v.await(map[string]int64{"1": 1, "2": 2}, map[string]int64{})
	commit(t, db, set(db, "3", n(3)), set(db, "1", n(10)), docdb.Write{Name: db.Name("others", "1"), Fields: n(1)})
	v.await(map[string]int64{"1": 10, "2": 2, "3": 3}, map[string]int64{})
	commit(t, db, set(db, "head", n(7)), docdb.Write{Name: db.Name(things, "2"), Delete: true})
	v.await(map[string]int64{"1": 10, "3": 3, "head": 7}, map[string]int64{"head": 7})
	commit(t, db, docdb.Write{Name: db.Name(things, "head"), Delete: true})
	v.await(map[string]int64{"1": 10, "3": 3}, map[string]int64{})
}

func listensToQuery(t *testing.T, open func() docdb.DB) {
	db := open()
	commit(t, db, set(db, "1", n(1)), set(db, "2", n(2)))
	v := listen(t, db, docdb.Target{Query: docdb.Query{
		Collection: things, OrderBy: "n", Any: []docdb.Filter{{Field: "n", Op: docdb.AtLeast, Value: docdb.Integer(2)}}, Limit: 2,
	}})
	v.await(map[string]int64{"2": 2})
	commit(t, db, set(db, "1", n(3)), set(db, "none", nil))
	v.await(map[string]int64{"2": 2, "1": 3})
	commit(t, db, set(db, "9", n(9)))
	commit(t, db, set(db, "2", n(4)))
	v.await(map[string]int64{"2": 4, "1": 3})
}

func listenEnds(t *testing.T, open func() docdb.DB) {
	db := open()
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- db.Listen(ctx, []docdb.Target{{Query: docdb.Query{Collection: things}}}, func(docdb.Event) { cancel(errStop) })
	}()
	select {
	case err := <-ended:
		require.ErrorIs(t, err, errStop)
	case <-time.After(soon):
		require.FailNow(t, "it goes on")
	}
}
