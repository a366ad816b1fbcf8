// Package fsquota opens the throttle's windows in Google Cloud Firestore, below
// a collection prefix that may be empty:
//
//	rate_limit_counters/{tenant}__{action}   a window: last_reset and count, which the Python service
//	                                         reads and writes (design §3); length, limit, generation,
//	                                         expires_at, sharing, reset_by and reset_at, which are ours
//	rate_limit_counters/{tenant}__{action}.7 a part of that window, with a limit of its own
//	rate_limit_policies/{any name}           a policy: tenant, action, limit, window, shadow; written by people
//	rate_limit_resets/{tenant}__{action}     the last reset by an operator: generation, expires_at
//
// Every document except the policies says the least format that a reader needs. A
// document of a later format is left alone (quota.ErrTooNew), counted by
// quota.too_new, and logged. Writes name our own fields, and leave others alone.
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
// All wrap quota.ErrUnavailable, except a lost race. Nothing is retried here,
// neither by this package nor by the transport: a repeated Save would meet itself.
package fsquota

import (
	"context"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel/metric"
	"google.golang.org/api/option"

	"github.com/northstar-engines/realtime-registry/internal/docdb/firestoredb"
	"github.com/northstar-engines/realtime-registry/internal/quotastore"
	"github.com/northstar-engines/realtime-registry/quota"
)

// The names of collections, behind the prefix. The first is fixed (design §3).
const (
	Collection       = quotastore.Collection
	PolicyCollection = quotastore.PolicyCollection
	ResetCollection  = quotastore.ResetCollection
)

// Options says which database to use.
type Options struct {
	ProjectID string // required
	Database  string // default "(default)"
	Prefix    string // goes, literally, before all collection names

	// ClientOptions connect the client; without them Google's default
	// credentials are used, or FIRESTORE_EMULATOR_HOST. Connection, of this
	// module's own programs, takes their place: it is shared with the registry.
	ClientOptions []option.ClientOption
	Connection    *firestoredb.Connection

	MeterProvider metric.MeterProvider // nil: no metrics
	Logger        *slog.Logger         // nil: silence
}

func (o Options) database() firestoredb.Options {
	return firestoredb.Options{
		ProjectID: o.ProjectID, Database: o.Database, Prefix: o.Prefix, ClientOptions: o.ClientOptions, Connection: o.Connection,
	}
}

// Validate reports every fault at once.
func (o Options) Validate() error { return o.database().Validate() }

// Store is a quota.Store on one Firestore database.
type Store = quotastore.Store

// Open connects, and reads a document to prove that the database answers. The
// caller closes the store. Errors wrap quota.ErrUnavailable; ctx bounds the
// time that it takes.
func Open(ctx context.Context, o Options) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	db, err := firestoredb.Open(ctx, o.database())
	if err != nil {
		return nil, fmt.Errorf("open throttle in %s: %w: %w", o.database(), quota.ErrUnavailable, err)
	}
	s, err := quotastore.New(db, quotastore.Options{MeterProvider: o.MeterProvider, Logger: o.Logger})
	if err == nil {
		err = s.Ping(ctx)
	}
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("open throttle in %s: %w", o.database(), err)
	}
	return s, nil
}
