package regstore_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/registry"
)

// snapshots is a registry in memory whose stores write a snapshot each four changes,
// with few moves in a chunk.
type snapshots struct {
	*testing.T
	db  *memdb.DB
	log bytes.Buffer
}

func newSnapshots(t *testing.T) *snapshots { return &snapshots{T: t, db: memdb.New(time.Now)} }

func (s *snapshots) open(db docdb.DB) *regstore.Store {
	store, err := regstore.Open(s.Context(), db, regstore.Options{
		LedgerRate: 1e6, SnapshotEvery: 4, ChunkBytes: 100, Logger: slog.New(slog.NewTextHandler(&s.log, nil)),
	})
	require.NoError(s, err)
	return store
}

func (s *snapshots) move(n int, run string) {
	requireAll(s.T, ownership.Applied, s.open(s.db).Apply(s.Context(), tenantMoves(run, n)))
}

// requireWhole requires that who starts now knows the ledger as it is stored.
func (s *snapshots) requireWhole() {
	s.Helper()
	started := s.open(s.db)
	all, err := started.Moves(s.Context())
	require.NoError(s, err)
	snapshot, err := started.Read(s.Context(), nil)
	require.NoError(s, err)
	want := ownership.NewLedger(snapshot.Ledger.Position(), all)
	require.Equal(s, slices.Collect(want.Moves()), slices.Collect(snapshot.Ledger.Moves()))
}

func (s *snapshots) documents(prefix string) (found []*docdb.Document) {
	require.NoError(s, s.db.Query(s.Context(), docdb.Query{Collection: regstore.LedgerCollection}, func(d *docdb.Document) error {
		if strings.HasPrefix(path.Base(d.Name), prefix) {
			found = append(found, d)
		}
		return nil
	}))
	return found
}

func (s *snapshots) set(name string, fields map[string]*docdb.Value) {
	mask := []string{}
	for field := range fields {
		mask = append(mask, field)
	}
	_, err := s.db.Commit(s.Context(), docdb.Write{Name: name, Fields: fields, Mask: mask})
	require.NoError(s, err)
}

func TestASnapshotThatCannotBeReadIsPassedOver(t *testing.T) {
	for name, harm := range map[string]func(s *snapshots, index string, chunks []*docdb.Document){
		"a chunk is missing": func(s *snapshots, _ string, chunks []*docdb.Document) {
			_, err := s.db.Commit(s.Context(), docdb.Write{Name: chunks[1].Name, Delete: true})
			require.NoError(s, err)
		},
		"the last chunk is missing": func(s *snapshots, _ string, chunks []*docdb.Document) {
			_, err := s.db.Commit(s.Context(), docdb.Write{Name: chunks[len(chunks)-1].Name, Delete: true})
			require.NoError(s, err)
		},
		"a chunk is cut": func(s *snapshots, _ string, chunks []*docdb.Document) {
			data := chunks[0].Fields["data"].GetBytesValue()
			s.set(chunks[0].Name, map[string]*docdb.Value{"data": docdb.Text(string(data[:len(data)/2]))})
		},
		"a chunk is that of another": func(s *snapshots, _ string, chunks []*docdb.Document) {
			s.set(chunks[0].Name, map[string]*docdb.Value{"data": chunks[1].Fields["data"]})
		},
		"a chunk is of a later format": func(s *snapshots, _ string, chunks []*docdb.Document) {
			s.set(chunks[0].Name, map[string]*docdb.Value{"format": docdb.Integer(ownership.Format + 1)})
		},
		"it is of a later format": func(s *snapshots, index string, _ []*docdb.Document) {
			s.set(index, map[string]*docdb.Value{"format": docdb.Integer(ownership.Format + 1)})
		},
		"it names no chunks": func(s *snapshots, index string, _ []*docdb.Document) {
			s.set(index, map[string]*docdb.Value{"chunks": docdb.Integer(0)})
		},
		"it is ahead of the head": func(s *snapshots, index string, _ []*docdb.Document) {
			s.set(index, map[string]*docdb.Value{"position": docdb.Integer(100)})
		},
		"it has no position": func(s *snapshots, index string, _ []*docdb.Document) {
			s.set(index, map[string]*docdb.Value{"position": docdb.Null()})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSnapshots(t)
			s.move(9, "m")
			written, err := s.open(s.db).WriteSnapshot(t.Context(), "w")
			require.NoError(t, err)
			require.True(t, written)
			chunks := s.documents("snapshot.")
			require.Greater(t, len(chunks), 2)
			s.move(2, "n")
			s.requireWhole()
			require.NotContains(t, s.log.String(), "cannot be used")

			index := s.db.Name(regstore.LedgerCollection, "snapshot")
			harm(s, index, chunks)
			s.requireWhole()
			require.Contains(t, s.log.String(), "cannot be used")
			require.Contains(t, s.log.String(), "realtime_registry_ledger/snapshot")
			if name == "it is of a later format" || name == "it has no position" {
				before := s.documents("snapshot")
				require.Contains(t, s.log.String(), "delete the document")
				s.move(9, "o")
				_, err := s.open(s.db).WriteSnapshot(t.Context(), "w")
				require.ErrorIs(t, err, registry.ErrTooNew)
				require.Equal(t, before, s.documents("snapshot"), "it is for who understands it")
				return
			}
			require.Contains(t, s.log.String(), "the next worker that starts writes another")
			worker, other := s.open(s.db), s.open(s.db)
			s.set(index, map[string]*docdb.Value{"holder": docdb.Text("another")})
			written, err = worker.WriteSnapshot(t.Context(), "w")
			require.NoError(t, err)
			require.False(t, written, "another is about to")
			s.set(index, map[string]*docdb.Value{"holder": docdb.Text("")}) // as if its lease had run out
			written, err = worker.WriteSnapshot(t.Context(), "w")
			require.NoError(t, err)
			require.True(t, written, "starts would read all entries until many more have changed")
			s.log.Reset()
			s.requireWhole()
			require.Empty(t, s.log.String())
			for _, store := range []*regstore.Store{worker, other} {
				written, err = store.WriteSnapshot(t.Context(), "w")
				require.NoError(t, err)
				require.False(t, written, "none is due any more")
			}
		})
	}
}

// A worker that was stopped for longer than its lease does not put its snapshot in
// the place of a later one, whose writer has deleted its chunks.
func TestAWriterThatWasHeldUpDoesNotPutItsSnapshotInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSnapshots(t)
		s.move(5, "m")
		held := false
		slow := s.open(docdbtest.Around(s.db, func(c *docdbtest.Call, do func() error) error {
			if c.Method == "Commit" && !held && slices.ContainsFunc(c.Writes, func(w docdb.Write) bool { return w.Fields["moves"] != nil }) {
				held = true
				time.Sleep(time.Second) // within its deadline
				other := s.open(s.db)
				written, err := other.WriteSnapshot(t.Context(), "other")
				require.NoError(t, err)
				require.False(t, written, "the lease is another's")
				s.set(s.db.Name(regstore.LedgerCollection, "snapshot"), map[string]*docdb.Value{"holder": docdb.Text("")}) // as if it had run out
				s.move(5, "n")
				other = s.open(s.db)
				written, err = other.WriteSnapshot(t.Context(), "other")
				require.NoError(t, err)
				require.True(t, written)
			}
			return do()
		}))
		written, err := slow.WriteSnapshot(t.Context(), "slow")
		require.True(t, held)
		require.Error(t, err)
		require.False(t, written)
		s.requireWhole()
		require.NotContains(t, s.log.String(), "cannot be used")
		s.move(5, "o")
		written, err = slow.WriteSnapshot(t.Context(), "slow")
		require.NoError(t, err)
		require.False(t, written, "as far as it knows none is due")
		_, err = slow.Read(t.Context(), nil)
		require.NoError(t, err)
		written, err = slow.WriteSnapshot(t.Context(), "slow")
		require.NoError(t, err)
		require.True(t, written)
		s.requireWhole()
		index := s.documents("snapshot")[0].Fields
		require.Len(t, s.documents("snapshot."), int(index["chunks"].GetIntegerValue()), "nothing is left of others")
	})
}

func TestALeaseRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSnapshots(t)
		s.move(5, "m")
		dies := s.open(docdbtest.Around(s.db, func(c *docdbtest.Call, do func() error) error {
			if c.Method == "Sum" {
				return context.Canceled
			}
			return do()
		}))
		_, err := dies.WriteSnapshot(t.Context(), "dies")
		require.Error(t, err)
		other := s.open(s.db)
		written, err := other.WriteSnapshot(t.Context(), "other")
		require.NoError(t, err)
		require.False(t, written)
		time.Sleep(10*time.Minute + time.Second)
		written, err = other.WriteSnapshot(t.Context(), "other")
		require.NoError(t, err)
		require.True(t, written)
	})
}

// A process that has missed a change would hide it from all that start: it writes no
// snapshot, and takes the one away that may be why.
func TestAProcessWhoseLedgerIsWrongWritesNoSnapshot(t *testing.T) {
	for name, miss := range map[string]func(d *docdb.Document) bool{
		"a move":       func(d *docdb.Document) bool { return d.Fields["id"].GetStringValue() == "m2" },
		"a retraction": func(d *docdb.Document) bool { return d.Fields["retracted"].GetBooleanValue() },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSnapshots(t)
			s.move(5, "m")
			wrong := s.open(docdbtest.Around(s.db, func(c *docdbtest.Call, do func() error) error {
				if c.Method == "Query" && c.Query.OrderBy == "seq" {
					visit := c.Visit
					c.Visit = func(d *docdb.Document) error {
						if miss(d) && (name == "a move" || c.Query.Any[0].Value.GetIntegerValue() > 0) {
							return nil
						}
						return visit(d)
					}
				}
				return do()
			}))
			requireAll(t, ownership.Applied, s.open(s.db).Apply(t.Context(), append([]ownership.Change{
				ownership.Retraction(ownership.Version{Source: "//nexus", ID: "m1"}, "", "")}, tenantMoves("n", 3)...)))
			_, err := wrong.Read(t.Context(), nil)
			require.NoError(t, err)
			written, err := wrong.WriteSnapshot(t.Context(), "wrong")
			require.ErrorContains(t, err, "start this process anew")
			require.False(t, written)
			require.Empty(t, s.documents("snapshot"))
			require.Contains(t, s.log.String(), "level=ERROR")
			written, err = s.open(s.db).WriteSnapshot(t.Context(), "right")
			require.NoError(t, err)
			require.True(t, written)
			s.requireWhole()
		})
	}
}

// While a ledger is read its reader is told how far it is.
func TestALoadTellsHowFarItIs(t *testing.T) {
	db := memdb.New(time.Now)
	s, err := regstore.Open(t.Context(), db, regstore.Options{LedgerRate: 1e6})
	require.NoError(t, err)
	for i := range 6 {
		requireAll(t, ownership.Applied, s.Apply(t.Context(), tenantMoves(fmt.Sprint("m", i), 500)))
	}
	var told []int
	loading := regstore.Options{Loading: func(n int) { told = append(told, n) }, ChunkBytes: 50_000}
	_, err = regstore.Open(t.Context(), db, loading)
	require.NoError(t, err)
	require.Equal(t, []int{1000, 2000, 3000}, told)
	written, err := s.WriteSnapshot(t.Context(), "w")
	require.NoError(t, err)
	require.True(t, written)
	told = nil
	_, err = regstore.Open(t.Context(), db, loading)
	require.NoError(t, err)
	require.Equal(t, 3000, told[len(told)-1])
}
