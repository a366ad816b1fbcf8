package regstore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
)

// lateRead is a store with a read whose answer has not come yet.
type lateRead struct {
	*regstore.Store
	db       *memdb.DB
	release  chan struct{}
	answered chan error
}

// newLateRead returns one whose read has seen what there is after some writes.
func newLateRead(t *testing.T, before func(*regstore.Store)) *lateRead {
	l := &lateRead{db: memdb.New(time.Now), release: make(chan struct{}), answered: make(chan error, 1)}
	hold, read := make(chan bool, 1), make(chan struct{})
	store, err := regstore.Open(t.Context(), docdbtest.Around(l.db, func(c *docdbtest.Call, do func() error) error {
		err := do()
		select {
		case <-hold:
			close(read)
			<-l.release
		default:
		}
		return err
	}), regstore.Options{LedgerRate: 1e6})
	require.NoError(t, err)
	l.Store = store
	before(store)
	hold <- true
	go func() {
		_, err := store.Read(t.Context(), nil)
		l.answered <- err
	}()
	<-read
	return l
}

func (l *lateRead) arrive(t *testing.T) {
	close(l.release)
	require.NoError(t, <-l.answered)
}

// In a new registry the first write makes the head. A read that was sent before
// finds none, and its answer may come after.
func TestAnAnswerFromBeforeTheHeadWasMadeIsNoDeletionOfIt(t *testing.T) {
	l := newLateRead(t, func(*regstore.Store) {})
	requireAll(t, ownership.Applied, l.Apply(t.Context(), creations("first", 1)))
	l.arrive(t)
	requireAll(t, ownership.Applied, l.Apply(t.Context(), creations("second", 1)))
}

func TestAnEarlierAnswerDoesNotOverrideWhoMayTakePart(t *testing.T) {
	l := newLateRead(t, func(s *regstore.Store) {
		requireAll(t, ownership.Applied, s.Apply(t.Context(), creations("first", 1)))
	})
	_, err := l.db.Commit(t.Context(), docdb.Write{
		Name:   l.db.Name(regstore.LedgerCollection, "head"),
		Fields: map[string]*docdb.Value{"min_writer": docdb.Integer(ownership.Format + 1)}, Mask: []string{"min_writer"},
	})
	require.NoError(t, err)
	_, err = l.Read(t.Context(), nil)
	require.NoError(t, err, "it may read")
	l.arrive(t)
	require.Equal(t, ownership.Failed, l.Apply(t.Context(), creations("second", 1))[0].Kind)
}
