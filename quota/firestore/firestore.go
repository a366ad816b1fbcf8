// Package firestore keeps throttle windows in Google Cloud Firestore. It
// implements quota.Store, whose promises are its own.
//
// Documents, all below a collection prefix that may be empty:
//
//	rate_limit_counters/{tenant}__{action}   a window: last_reset and count, which the Python service
//	                                         reads and writes (design §3); length, limit, generation,
//	                                         expires_at, reset_by and reset_at, which are ours
//	rate_limit_policies/{any name}           a policy: tenant, action, limit, window, shadow; written by people
//	rate_limit_resets/{tenant}__{action}     the last reset by an operator: generation, expires_at
//
// Every document but the policies says the least format that a reader needs. What
// is of a later one is left alone (quota.ErrTooNew), counted by quota.too_new, and
// told in the log; writes name the fields that are ours, and leave others alone
// too.
//
// TTL policies on expires_at of the first and the last keep the collections
// small. Nothing here needs an index: exempt both collections from single-field
// indexes, so that each write costs less.
//
// # Costs
//
// A Load is one document read, a Save one document write, an announced Save one
// read and two writes. A Watch reads every policy and every reset once at its
// start, and then each that changes.
//
// # Errors
//
// Load and Save wrap quota.ErrUnavailable, except quota.ErrConflict. Nothing is
// repeated here, neither by this package nor by the transport: a Save that is
// repeated would meet itself.
package firestore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	apiv1 "cloud.google.com/go/firestore/apiv1"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/api/option"
	"google.golang.org/grpc/metadata"

	"github.com/northstar-engines/realtime-registry/internal/firestoreclient"
	"github.com/northstar-engines/realtime-registry/quota"
)

// The names of collections, behind the prefix. The first is fixed (design §3).
const (
	Collection       = "rate_limit_counters"
	PolicyCollection = quota.PolicyCollection
	ResetCollection  = "rate_limit_resets"
)

// Options says which database to use.
type Options struct {
	ProjectID string // required
	Database  string // default "(default)"
	Prefix    string // goes, literally, before all collection names

	// ClientOptions connect the client; without them Google's default
	// credentials are used, or FIRESTORE_EMULATOR_HOST.
	ClientOptions []option.ClientOption

	MeterProvider metric.MeterProvider // nil: no metrics
	Logger        *slog.Logger         // nil: silence
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
	return errors.Join(faults...)
}

// Store is a quota.Store on one Firestore database.
type Store struct {
	client   *apiv1.Client
	database string // projects/{project}/databases/{database}
	prefix   string
	logger   *slog.Logger
	unread   tooNewTelling
}

var _ quota.Store = (*Store)(nil)

// Open connects, and reads a document to prove that the database answers. The
// caller closes the store. Errors wrap quota.ErrUnavailable; ctx bounds the
// time that it takes.
func Open(ctx context.Context, o Options) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Database == "" {
		o.Database = "(default)"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	client, err := firestoreclient.New(ctx, o.ClientOptions)
	if err != nil {
		return nil, fmt.Errorf("open throttle in firestore project %q, database %q: %w: %w", o.ProjectID, o.Database, quota.ErrUnavailable, err)
	}
	s := &Store{
		client:   client,
		database: fmt.Sprintf("projects/%s/databases/%s", o.ProjectID, o.Database),
		prefix:   o.Prefix,
		logger:   o.Logger,
	}
	if err := s.unread.init(o.MeterProvider); err != nil {
		client.Close()
		return nil, fmt.Errorf("firestore: %w", err)
	}
	if _, _, err := s.get(ctx, s.document(PolicyCollection, "open")); err != nil {
		client.Close()
		return nil, fmt.Errorf("open throttle in firestore project %q, database %q: %w", o.ProjectID, o.Database, err)
	}
	return s, nil
}

// Close closes the connections. Calls under way fail.
func (s *Store) Close() error { return s.client.Close() }

// document is the full name of a document of a collection.
func (s *Store) document(collection, id string) string {
	return s.database + "/documents/" + s.prefix + collection + "/" + id
}

func (s *Store) counter(key quota.Key) string { return s.document(Collection, key.DocumentID()) }

// outgoing adds what the service routes by.
func (s *Store) outgoing(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "google-cloud-resource-prefix", s.database)
}
