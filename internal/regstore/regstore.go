// Package regstore keeps the registry in a document database (internal/docdb). It
// has the one ownership.Store, where the promises are documented. Packages
// fsregistry and memregistry open it, each over its database.
//
// Documents:
//
//	realtime_registry/{kind}__{id}     tenant_id, path, history, ledger (design §3, §4); a tombstone expires by TTL policy
//	realtime_registry_ledger/{hash}    one move of everything that a tenant owns
//	realtime_registry_ledger/head      the ledger's position, raised by every change to it, and which releases may take part
//	realtime_registry_ledger/fence     keeps commit 1571751 out
//	realtime_registry_ledger/rewriting the lease of the worker that rewrites documents
//	realtime_registry_ledger/snapshot  the ledger as of one position, in documents snapshot.*, for processes that start
//	realtime_registry_ledger/outbox    the lease of the process that sweeps the outbox, and how far that is
//	realtime_registry_feed/{random}    the resources whose history one commit changed; expires by TTL policy
//	realtime_registry_outbox/{shard}.{time}.{random}  what is to be published to the registry's log
//
// Programs outside read tenant_id of the first; everything else is ours. Every
// document says the least format that a reader needs (ownership.Format). A document
// of a later format, or one that cannot be read, is left alone. Writes name our own
// fields, and leave others alone.
//
// # Costs
//
// A create for a resource not seen yet is one write and no read; a duplicate
// among duplicates is one read and no write. The store guesses which of the two a
// batch will be, from what this process wrote lately and from how the last batch
// went. A wrong guess costs a read, or a failed create (billed as a write), and
// never correctness. Every LedgerStaleness of activity adds one read.
//
// # Errors
//
// Every failure of the database wraps registry.ErrUnavailable. If the answer to a
// commit was lost, the document is read again (design §4, "A lost answer"). A lost
// race for a document is run again. Nothing else is retried here: the caller decides
// how long to go on.
package regstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/northstar-engines/realtime-registry/internal/claimlog"
	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/observe"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// The names of collections, behind the prefix. The first is fixed (design §3).
const (
	Collection       = "realtime_registry"
	LedgerCollection = "realtime_registry_ledger"
	FeedCollection   = "realtime_registry_feed"
	OutboxCollection = "realtime_registry_outbox"
)

// What the rewriting of documents after a move relies on (design §4): a writer
// folds with a ledger that is at most LedgerStaleness old, and its commit ends
// within CommitDeadline of that, however long the process was held up in
// between. A document that was written without knowledge of a move is there no
// later than both after the move's commit.
const (
	LedgerStaleness = 5 * time.Second
	CommitDeadline  = 10 * time.Second
)

// timestampSlack is how much later than a commit's deadline after its timestamp,
// which is that of the request, a feed entry may have been committed.
const timestampSlack = time.Second

// DeletionHorizon is, by default, for how long nothing brings a deleted resource
// back: then its tombstone expires. It is longer than anything that may bring an
// event again: Pub/Sub keeps messages for 31 days at most, and a backup of Firestore
// for 14 weeks.
const DeletionHorizon = 400 * 24 * time.Hour

// FeedTTL is how long a change feed entry is kept.
const FeedTTL = 24 * time.Hour

// Options make a store.
type Options struct {
	// LedgerStaleness and CommitDeadline are, by default, the constants of the
	// same names. All processes on one database must agree on them; tests
	// shorten them.
	LedgerStaleness, CommitDeadline time.Duration

	// LedgerRate is how many commits to the ledger a second this process makes
	// in the long run, each with up to 500 changes. Default 1: all of them write
	// one document. Tests raise it, and so does a replay at more than 500 documents a
	// second.
	LedgerRate float64

	// DeletionHorizon is for how long a tombstone is kept that this process writes.
	// Default: the constant of the same name.
	DeletionHorizon time.Duration

	// Chance returns numbers from 0 to less than 1, by which waits differ. Default:
	// the runtime's. Tests repeat it.
	Chance func() float64

	// SnapshotEvery is how many changes of the ledger may be behind its snapshot
	// before another one is written (WriteSnapshot), and ChunkBytes how many bytes go
	// into a document of it, before compression. Defaults 500 and 900 KiB.
	SnapshotEvery int64
	ChunkBytes    int

	// OutboxPatience is ownership.OutboxPatience by default, and must be longer than
	// LedgerStaleness and CommitDeadline together. Tests shorten it.
	OutboxPatience time.Duration

	// Loading, if not nil, is called with the number of ledger entries read so far
	// while all are read, at the start.
	Loading func(entries int)

	MeterProvider  metric.MeterProvider // nil: no metrics
	TracerProvider trace.TracerProvider // nil: no spans
	// Logger is told who claimed what, and whose claim was refused, ten lines a
	// second of each at most; and what is not understood. nil: silence.
	Logger *slog.Logger
}

// Validate reports every fault at once.
func (o Options) Validate() error {
	if o.LedgerStaleness < 0 || o.CommitDeadline < 0 || o.LedgerRate < 0 || o.DeletionHorizon < 0 {
		return errors.New("registry: LedgerStaleness, CommitDeadline, LedgerRate and DeletionHorizon are not negative")
	}
	return nil
}

// Store is an ownership.Store, an ownership.Rewriter, an ownership.Feed and an
// ownership.Outbox.
type Store struct {
	db        docdb.DB
	telemetry *telemetry
	logger    *slog.Logger
	guess     guess // of changes
	claimed   guess // of claims
	chance    func() float64
	claims    *claimlog.Log

	ledgerStaleness, commitDeadline, deletionHorizon time.Duration

	snapshotEvery  int64
	snapshotAt     atomic.Int64           // the position of the snapshot that this process has seen last
	snapshotBroken atomic.Pointer[string] // the name of one that cannot be used, for which another is due
	chunkBytes     int
	loading        func(entries int)

	lane       *ledgerLane
	reads      *ledgerReads
	refresh    chan struct{}                   // has one place: one refresh of the ledger at a time
	cached     atomic.Pointer[certifiedLedger] // see known
	head       atomic.Pointer[headState]       // nil until it was read
	gone       atomic.Int64                    // how often the database was not there
	recovering atomic.Pointer[string]          // the epoch that this process gives the registry

	outboxPatience time.Duration
	onLogged       atomic.Pointer[func(ownership.Logged)]

	takingBack atomic.Bool    // that plain sets are over
	dry        atomic.Bool    // it must not be taken back: see LeavePlainSets
	background sync.WaitGroup // what Close waits for
}

// certifiedLedger is a ledger, and since when it is known that there is no newer one:
// the local time before the read that said so was sent.
type certifiedLedger struct {
	*ownership.Ledger
	since     time.Time
	changedAt time.Time // what the head says of the last change; zero if that is not known
}

var (
	_ ownership.Store    = (*Store)(nil)
	_ ownership.Rewriter = (*Store)(nil)
	_ ownership.Feed     = (*Store)(nil)
	_ ownership.Outbox   = (*Store)(nil)
)

// Open makes a store, which closes the database with itself, and reads the ledger
// to prove that the database answers. If there is no ledger yet, it looks whether
// the registry is a new one. Errors wrap registry.ErrUnavailable; ctx bounds the
// time that it takes. The database is closed if it fails.
func Open(ctx context.Context, db docdb.DB, o Options) (*Store, error) {
	s, err := newStore(db, o)
	if err == nil {
		_, err = s.refreshLedger(ctx)
	}
	if err == nil && !s.head.Load().exists {
		err = s.isNew(ctx)
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return s, nil
}

// newStore makes a store that has read nothing.
func newStore(db docdb.DB, o Options) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Chance == nil {
		o.Chance = rand.Float64
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	t, err := newTelemetry(observe.Providers{Logger: o.Logger, MeterProvider: o.MeterProvider, TracerProvider: o.TracerProvider})
	if err != nil {
		return nil, err
	}
	s := &Store{
		db:        db,
		telemetry: t,
		logger:    o.Logger,
		chance:    o.Chance,
		claims:    claimlog.New(o.Logger),
		refresh:   make(chan struct{}, 1),

		ledgerStaleness: cmp.Or(o.LedgerStaleness, LedgerStaleness),
		commitDeadline:  cmp.Or(o.CommitDeadline, CommitDeadline),
		deletionHorizon: cmp.Or(o.DeletionHorizon, DeletionHorizon),

		snapshotEvery: cmp.Or(o.SnapshotEvery, snapshotEvery),
		chunkBytes:    cmp.Or(o.ChunkBytes, chunkBytes),
		loading:       o.Loading,

		outboxPatience: cmp.Or(o.OutboxPatience, ownership.OutboxPatience),
	}
	s.cached.Store(&certifiedLedger{})
	s.reads = newLedgerReads(s)
	s.lane = newLedgerLane(cmp.Or(o.LedgerRate, ledgerRate), o.Chance, s.changeLedger)
	return s, nil
}

// Close implements ownership.Store.
func (s *Store) Close() error {
	s.background.Wait()
	return s.db.Close()
}

// shortName is the name of a document as people look for it: its collection,
// with the prefix, and its id.
func shortName(name string) string {
	collection, id := path.Split(name)
	return path.Base(collection) + "/" + id
}

func (s *Store) resourceName(r registry.Resource) string {
	return s.db.Name(Collection, r.DocumentID())
}

// unavailable wraps what the database said, or a context's end.
func unavailable(operation string, err error) error {
	return fmt.Errorf("%s: %w: %w", operation, registry.ErrUnavailable, err)
}
