// Package fsregistry opens the registry in Google Cloud Firestore. A Store is what
// registry.New and verifier.New take.
//
// Documents, all below a collection prefix that may be empty:
//
//	realtime_registry/{kind}__{id}     tenant_id, path, history, ledger (design §3, §4); a tombstone expires by TTL policy
//	realtime_registry_ledger/{hash}    one move of everything that a tenant owns
//	realtime_registry_ledger/head      the ledger's position, raised by every change to it, and which releases may take part
//	realtime_registry_ledger/fence     keeps commit 1571751 out
//	realtime_registry_ledger/rewriting the lease of the worker that rewrites documents
//	realtime_registry_ledger/snapshot  the ledger as of one position, in documents snapshot.*, for processes that start
//	realtime_registry_feed/{random}    the resources whose history one commit changed; expires by TTL policy
//
// Programs outside read tenant_id of the first; everything else is ours. Every
// document says the least format that a reader needs (ownership.Format). A document
// of a later format, or one that cannot be read, is left alone. Writes name our own
// fields, and leave others alone.
//
// # Costs
//
// A create for a resource not seen yet is one write and no read; a duplicate among
// duplicates is one read and no write. The store guesses which of the two a batch
// will be, from what this process wrote lately and from how the last batch went. A
// wrong guess costs a read, or a failed create (billed as a write); it changes no
// result. Every LedgerStaleness of activity adds one read.
//
// # Errors
//
// Every failure of the service wraps registry.ErrUnavailable. If the answer to a
// commit was lost, the document is read again. A lost race for a document is run
// again. Nothing else is retried here: the caller decides how long to go on.
package fsregistry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/api/option"

	"github.com/northstar-engines/realtime-registry/internal/docdb/firestoredb"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/registry"
)

// The names of collections, behind the prefix. The first is fixed (design §3).
const (
	Collection       = regstore.Collection
	LedgerCollection = regstore.LedgerCollection
	FeedCollection   = regstore.FeedCollection
)

// The constants that all processes on one database must agree on (design §4). A
// writer folds with a ledger that is at most LedgerStaleness old, and its commit
// ends within CommitDeadline of that. A change feed entry is kept for FeedTTL.
const (
	LedgerStaleness = regstore.LedgerStaleness
	CommitDeadline  = regstore.CommitDeadline
	FeedTTL         = regstore.FeedTTL
)

// DeletionHorizon is, by default, for how long nothing brings a deleted resource
// back: then its tombstone expires.
const DeletionHorizon = regstore.DeletionHorizon

// Options says which database to use.
type Options struct {
	ProjectID string // required
	Database  string // default "(default)"
	Prefix    string // goes, literally, before all collection names

	// ClientOptions connect the client; without them Google's default
	// credentials are used, or FIRESTORE_EMULATOR_HOST. Connection, of this
	// module's own programs, takes their place: it is shared with the throttle.
	ClientOptions []option.ClientOption
	Connection    *firestoredb.Connection

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

	// Loading, if not nil, is called with the number of ledger entries read so far
	// while Open reads all of them: a million take some seconds.
	Loading func(entries int)

	MeterProvider  metric.MeterProvider // nil: no metrics
	TracerProvider trace.TracerProvider // nil: no spans
	// Logger gets a line for each claim that was stored and for each that was
	// refused, at most ten a second of each, and for documents that are not
	// understood. nil: no log.
	Logger *slog.Logger
}

// Validate reports every fault at once.
func (o Options) Validate() error {
	return errors.Join(o.database().Validate(), o.store().Validate())
}

func (o Options) database() firestoredb.Options {
	return firestoredb.Options{
		ProjectID: o.ProjectID, Database: o.Database, Prefix: o.Prefix, ClientOptions: o.ClientOptions, Connection: o.Connection,
	}
}

func (o Options) store() regstore.Options {
	return regstore.Options{
		LedgerStaleness: o.LedgerStaleness, CommitDeadline: o.CommitDeadline, LedgerRate: o.LedgerRate,
		DeletionHorizon: o.DeletionHorizon, Loading: o.Loading,
		MeterProvider: o.MeterProvider, TracerProvider: o.TracerProvider, Logger: o.Logger,
	}
}

// Store is an ownership.Store, an ownership.Rewriter and an ownership.Feed on one
// Firestore database.
type Store = regstore.Store

// Open connects, and reads the ledger to prove that the database answers. The
// caller closes the store. Errors wrap registry.ErrUnavailable; ctx bounds the
// time that it takes.
func Open(ctx context.Context, o Options) (*Store, error) {
	db, err := o.connect(ctx)
	if err != nil {
		return nil, err
	}
	s, err := regstore.Open(ctx, db, o.store())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", o.database(), err)
	}
	return s, nil
}

func (o Options) connect(ctx context.Context) (*firestoredb.DB, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	db, err := firestoredb.Open(ctx, o.database())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w: %w", o.database(), registry.ErrUnavailable, err)
	}
	return db, nil
}

// UpgradeOptions are the options of Upgrade.
type UpgradeOptions = regstore.UpgradeOptions

// Upgraded reports what Upgrade has done, in all its runs.
type Upgraded = regstore.Upgraded

// Upgrade brings a registry of commit 1571751 over to this release. Stop every
// process of that commit first (docs/upgrades.md). Upgrade may be interrupted at
// any time and run again. It leaves documents that it cannot read alone, and names
// them. Errors wrap registry.ErrUnavailable.
func Upgrade(ctx context.Context, o Options, u UpgradeOptions) (Upgraded, error) {
	db, err := o.connect(ctx)
	if err != nil {
		return Upgraded{}, err
	}
	defer db.Close()
	return regstore.Upgrade(ctx, db, o.store(), u)
}
