// Package firestore keeps the registry in Google Cloud Firestore. It implements
// registry.Store, whose promises are its own.
//
// Documents, all below a collection prefix that may be empty:
//
//	realtime_registry/{kind}__{id}     tenant_id, path, history, ledger (design §3, §4)
//	realtime_registry_ledger/{hash}    one move of everything that a tenant owns
//	realtime_registry_ledger/head      the ledger's position, raised by every change to it, and who may take part
//	realtime_registry_ledger/fence     keeps commit 1571751 out
//	realtime_registry_ledger/rewriting who rewrites documents now
//	realtime_registry_feed/{random}    a resource whose history changed; expires by TTL policy
//
// Outsiders read tenant_id of the first; all else is ours. Every document says the
// least format that a reader needs (registry.Format). What is of a later one, or
// cannot be read, is left alone; writes name the fields that are ours, and leave
// others alone too.
//
// # Costs
//
// A create for a resource not seen yet is one write and no read; a duplicate
// among duplicates is one read and no write. Which of the two a batch is going to
// be is guessed, from what this process wrote lately and from how the last batch
// went: a wrong guess costs a read, or a failed create (billed as a write), and
// never correctness. Every LedgerStaleness of activity adds one read.
//
// # Errors
//
// Whatever the service says other than an answer wraps registry.ErrUnavailable.
// A commit whose answer was lost is settled by reading again. Calls are not
// retried here beyond that and beyond lost races for a document: how long to go
// on is for the caller to say.
package firestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strings"
	"sync/atomic"
	"time"

	apiv1 "cloud.google.com/go/firestore/apiv1"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
	"google.golang.org/api/option"
	"google.golang.org/grpc/metadata"

	"github.com/northstar-engines/realtime-registry/internal/firestoreclient"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/internal/claimlog"
)

// The names of collections, behind the prefix. The first is fixed (design §3).
const (
	Collection       = "realtime_registry"
	LedgerCollection = "realtime_registry_ledger"
	FeedCollection   = "realtime_registry_feed"
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

// FeedTTL is how long a change feed entry is kept.
const FeedTTL = 24 * time.Hour

// Options says which database to use.
type Options struct {
	ProjectID string // required
	Database  string // default "(default)"
	Prefix    string // goes, literally, before all collection names

	// ClientOptions connect the client; without them Google's default
	// credentials are used, or FIRESTORE_EMULATOR_HOST.
	ClientOptions []option.ClientOption

	// LedgerStaleness and CommitDeadline are, by default, the constants of the
	// same names. All processes on one database must agree on them; tests
	// shorten them.
	LedgerStaleness, CommitDeadline time.Duration

	// LedgerRate is how many commits to the ledger a second this process makes
	// in the long run, each with up to 500 changes. Default 1: all of them write
	// one document. Tests raise it.
	LedgerRate float64

	MeterProvider  metric.MeterProvider // nil: no metrics
	TracerProvider trace.TracerProvider // nil: no spans
	// Logger is told who claimed what, and whose claim was refused, ten lines a
	// second of each at most; and what is not understood. nil: silence.
	Logger *slog.Logger
}

// Validate reports every fault at once.
func (o Options) Validate() error {
	var faults []error
	if o.ProjectID == "" {
		faults = append(faults, errors.New("firestore: ProjectID is missing"))
	}
	if strings.ContainsAny(o.Prefix, "/") || strings.HasPrefix(o.Prefix, "__") || o.Prefix == "." {
		faults = append(faults, fmt.Errorf("firestore: prefix %q: a collection name has no slash and does not begin with two underscores", o.Prefix))
	}
	if o.LedgerStaleness < 0 || o.CommitDeadline < 0 || o.LedgerRate < 0 {
		faults = append(faults, errors.New("firestore: LedgerStaleness, CommitDeadline and LedgerRate are not negative"))
	}
	return errors.Join(faults...)
}

// Store is a registry.Store, a registry.Rewriter and a registry.Feed on one
// Firestore database.
type Store struct {
	client    *apiv1.Client
	database  string // projects/{project}/databases/{database}
	prefix    string
	telemetry *telemetry
	logger    *slog.Logger
	guess     guess
	claims    *claimlog.Log

	ledgerStaleness, commitDeadline time.Duration

	lane    *ledgerLane
	reads   *ledgerReads
	refresh chan struct{} // has one place: one refresh of the ledger at a time
	cached  atomic.Pointer[certifiedLedger]
	head    atomic.Pointer[headState] // nil until it was read
	unread  tooNewLog
}

// certifiedLedger is the newest ledger that this process knows, and since when
// it is known that there is no newer one: the local time before the read that
// said so was sent.
type certifiedLedger struct {
	*registry.Ledger
	since time.Time
}

var (
	_ registry.Store    = (*Store)(nil)
	_ registry.Rewriter = (*Store)(nil)
	_ registry.Feed     = (*Store)(nil)
)

// Open connects, and reads the ledger to prove that the database answers. Where
// there is no ledger yet, it looks whether the registry is a new one. The caller
// closes the store. Errors wrap registry.ErrUnavailable; ctx bounds the time that
// it takes.
func Open(ctx context.Context, o Options) (*Store, error) {
	s, err := connect(ctx, o)
	if err != nil {
		return nil, err
	}
	_, err = s.refreshLedger(ctx)
	if err == nil && !s.head.Load().exists {
		err = s.isNew(ctx)
	}
	if err != nil {
		s.client.Close()
		return nil, fmt.Errorf("open firestore %s: %w", s.database, err)
	}
	return s, nil
}

// connect makes a store that has read nothing.
func connect(ctx context.Context, o Options) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Database == "" {
		o.Database = "(default)"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	t, err := newTelemetry(o.MeterProvider, o.TracerProvider)
	if err != nil {
		return nil, fmt.Errorf("firestore: %w", err)
	}
	client, err := firestoreclient.New(ctx, o.ClientOptions)
	if err != nil {
		return nil, fmt.Errorf("open firestore project %q, database %q: %w: %w", o.ProjectID, o.Database, registry.ErrUnavailable, err)
	}
	s := &Store{
		client:    client,
		database:  fmt.Sprintf("projects/%s/databases/%s", o.ProjectID, o.Database),
		prefix:    o.Prefix,
		telemetry: t,
		logger:    o.Logger,
		claims:    claimlog.New(o.Logger),
		refresh:   make(chan struct{}, 1),
		unread:    tooNewLog{limiter: rate.NewLimiter(tooNewRate, tooNewBurst)},

		ledgerStaleness: cmp.Or(o.LedgerStaleness, LedgerStaleness),
		commitDeadline:  cmp.Or(o.CommitDeadline, CommitDeadline),
	}
	s.cached.Store(&certifiedLedger{})
	s.reads = newLedgerReads(s)
	s.lane = newLedgerLane(cmp.Or(o.LedgerRate, ledgerRate), s.changeLedger)
	return s, nil
}

// Close closes the connections. Calls under way fail.
func (s *Store) Close() error { return s.client.Close() }

// document is the full name of a document of a collection.
func (s *Store) document(collection, id string) string {
	return s.database + "/documents/" + s.prefix + collection + "/" + id
}

// shortName is the name of a document as people look for it: its collection,
// with the prefix, and its id.
func shortName(name string) string {
	collection, id := path.Split(name)
	return path.Base(collection) + "/" + id
}

func (s *Store) resourceName(r registry.Resource) string {
	return s.document(Collection, r.DocumentID())
}

// outgoing adds what the service routes by.
func (s *Store) outgoing(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "google-cloud-resource-prefix", s.database)
}

// unavailable wraps what the service said, or a context's end.
func unavailable(operation string, err error) error {
	return fmt.Errorf("%s: %w: %w", operation, registry.ErrUnavailable, err)
}
