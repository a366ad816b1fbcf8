// Package memregistry opens the registry in this process: for tests, and for `dev` and
// `run --api` in one process. The same code runs over it as over Firestore. The
// registry is lost when the process ends.
package memregistry

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
)

// In one process nobody need wait for long until all know of a move.
const (
	ledgerStaleness = time.Millisecond
	commitDeadline  = time.Second
	ledgerRate      = 1e6
)

// Options make a handle.
type Options struct {
	// LedgerStaleness and CommitDeadline are those of registry/fsregistry, but short
	// by default. All handles must agree on them.
	LedgerStaleness, CommitDeadline time.Duration
	// Logger is told who claimed what, and whose claim was refused, ten lines a
	// second of each at most. nil: silence.
	Logger *slog.Logger
}

// Store is an ownership.Store, an ownership.Rewriter and an ownership.Feed in memory. It
// is safe for concurrent use.
type Store struct {
	*regstore.Store
	db *memdb.DB
}

// New returns an empty store that takes the time from the machine's clock.
func New() *Store { return NewAt(time.Now) }

// NewAt returns an empty store that takes the time from now; commit times grow
// where that does not.
func NewAt(now func() time.Time) *Store { return open(memdb.New(now), Options{}) }

// Open returns a further handle on the same documents, as another process has it.
func (s *Store) Open(o Options) *Store { return open(s.db, o) }

func open(db *memdb.DB, o Options) *Store {
	s, err := regstore.Open(context.Background(), db, regstore.Options{
		LedgerStaleness: cmp.Or(o.LedgerStaleness, ledgerStaleness),
		CommitDeadline:  cmp.Or(o.CommitDeadline, commitDeadline),
		LedgerRate:      ledgerRate,
		Logger:          o.Logger,
	})
	if err != nil {
		panic(err) // memory answers
	}
	return &Store{s, db}
}

// DB returns the documents, for who writes them as others do.
func (s *Store) DB() docdb.DB { return s.db }

// SetPlain writes a document as a program does that knows nothing of ours: its
// fields are replaced by tenant_id alone, or, with merge, tenant_id alone is
// replaced. For tests and for `dev`.
func (s *Store) SetPlain(name, tenantID string, merge bool) {
	w := docdb.Write{
		Name: s.db.Name(regstore.Collection, name), Fields: map[string]*docdb.Value{"tenant_id": docdb.Text(tenantID)},
	}
	if merge {
		w.Mask = []string{"tenant_id"}
	}
	if _, err := s.db.Commit(context.Background(), w); err != nil {
		panic(err) // it has no condition
	}
}
