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

// In one process all handles learn of a move at once, so the waits are short.
const (
	ledgerStaleness = time.Millisecond
	commitDeadline  = time.Second
	ledgerRate      = 1e6
)

// Options of a handle.
type Options struct {
	// LedgerStaleness and CommitDeadline are those of registry/fsregistry, but short
	// by default. All handles must agree on them.
	LedgerStaleness, CommitDeadline time.Duration
	// DeletionHorizon is that of registry/fsregistry.
	DeletionHorizon time.Duration
	// Logger gets a line for each claim that was stored and for each that was
	// refused, at most ten a second of each. nil: no log.
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

// NewAt returns an empty store whose clock is now. Commit times grow even if now
// stands still.
func NewAt(now func() time.Time) *Store { return open(memdb.New(now), Options{}) }

// Open returns another handle on the same documents, like that of another process.
func (s *Store) Open(o Options) *Store { return open(s.db, o) }

func open(db *memdb.DB, o Options) *Store {
	s, err := regstore.Open(context.Background(), db, regstore.Options{
		LedgerStaleness: cmp.Or(o.LedgerStaleness, ledgerStaleness),
		CommitDeadline:  cmp.Or(o.CommitDeadline, commitDeadline),
		LedgerRate:      ledgerRate,
		DeletionHorizon: o.DeletionHorizon,
		Logger:          o.Logger,
	})
	if err != nil {
		panic(err) // memory never fails
	}
	return &Store{s, db}
}

// DB returns the documents, for callers that write them as other programs do.
func (s *Store) DB() docdb.DB { return s.db }

// SetPlain writes a document as a program does that knows nothing of the registry.
// It replaces all fields by tenant_id, or, with merge, replaces tenant_id alone.
// For tests and for `dev`.
func (s *Store) SetPlain(name, tenantID string, merge bool) {
	w := docdb.Write{
		Name: s.db.Name(regstore.Collection, name), Fields: map[string]*docdb.Value{"tenant_id": docdb.Text(tenantID)},
	}
	if merge {
		w.Mask = []string{"tenant_id"}
	}
	if _, err := s.db.Commit(context.Background(), w); err != nil {
		panic(err) // the write has no condition
	}
}
