// Package docdb is a document database with preconditions, as far as the
// registry and the throttle need one. Both are written once, on top of it. Package
// firestoredb is Google Cloud Firestore, package memdb is this process's memory,
// and package docdbtest is the suite that both pass.
//
// Values are Firestore's own types, so that they go to the wire without conversion.
// Times are those of the database, to the microsecond: nothing here reads this
// process's clock.
//
// # Errors
//
// Errors have a gRPC status, which status.Code finds. LostRace reports whether a
// write failed because a document was not what its precondition said; then nothing
// was written. After InvalidArgument nothing was written either. After any other
// error of a write it is not known whether it happened. Nothing is retried here: a
// repeated write may meet itself, so the caller reads before it decides.
package docdb

import (
	"context"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The most that goes into one request. Firestore takes 10 MiB, and 500 writes in
// a BatchWrite (https://cloud.google.com/firestore/quotas).
const (
	MaxWrites = 500
	MaxReads  = 500
	MaxBytes  = 8 << 20
)

type (
	// Document is what is stored under a full name, since its UpdateTime. One that
	// was read or written must not be modified.
	Document = firestorepb.Document
	// Value is the value of a field.
	Value = firestorepb.Value
)

// DB is one database with a prefix before the names of its collections. It is
// safe for concurrent use, by any number of processes.
type DB interface {
	// Name returns the full name of a document of a collection.
	Name(collection, id string) string

	// Get reads the documents with these names as of one time, which is not before
	// the call: it sees everything committed before the call. It returns those that
	// exist, by name, and the time. Names may repeat.
	Get(ctx context.Context, names []string) (map[string]*Document, time.Time, error)

	// Commit makes all writes or none, at one time, which is later than that of
	// every commit that was acknowledged before the call. It never happens after
	// ctx's deadline.
	Commit(ctx context.Context, writes ...Write) (Receipt, error)

	// BatchWrite makes writes of which no two are of one document, each for
	// itself, and returns a code for each: what LostRace says of errors holds for
	// codes. It never happens after ctx's deadline.
	BatchWrite(ctx context.Context, writes []Write) ([]codes.Code, error)

	// Query visits the documents that a query finds, all as of one time. It ends
	// at the first error that visit returns, and returns that.
	Query(ctx context.Context, q Query, visit func(*Document) error) error

	// Count counts the documents that a query finds, as of the time of which the
	// query is.
	Count(ctx context.Context, q Query) (int64, error)

	// Sum counts the documents that a query finds, and sums up the integers of the
	// field by which it is ordered, both as of the time of which the query is.
	Sum(ctx context.Context, q Query, field string) (n, sum int64, err error)

	// Recovers reports whether point-in-time recovery is on: then documents can be
	// read as of any whole minute of the last seven days, else as of any time of
	// the last hour.
	Recovers(ctx context.Context) (bool, error)

	// Listen reports the targets' documents as they change, until ctx ends or it
	// fails; it never returns nil. It begins with those that exist. One goroutine
	// at a time calls tell. Reports may be late or repeated, and one that is soon
	// followed by another may be skipped.
	Listen(ctx context.Context, targets []Target, tell func(Event)) error

	// Close releases what the database holds. Calls in progress fail.
	Close() error
}

// Write is one write of one document.
type Write struct {
	Name string
	// Delete removes the document. Then there are no fields.
	Delete bool
	Fields map[string]*Value
	// Mask names, by paths with dots, the fields that the write is about: what
	// it names and Fields does not have is removed, what it does not name stays
	// as it is. Fields has nothing that Mask does not name. Without a Mask the
	// write replaces the document.
	Mask []string
	// Times names fields that are set to the time of the request, by the database's
	// clock. It is not after the commit, and may be earlier by as long as the
	// commit takes. So these times are not in the order of commits.
	Times []string
	If    Condition
}

// Condition is what a document must be for a write to happen. The zero Condition
// is none.
type Condition struct {
	Absent  bool
	Updated time.Time // the update time that it must have; zero: any
}

// Absent holds if there is no document.
var Absent = Condition{Absent: true}

// AsRead holds if the document is as it was read; nil if there was none.
func AsRead(d *Document) Condition {
	if d == nil {
		return Absent
	}
	return Condition{Updated: d.UpdateTime.AsTime()}
}

// A Receipt is the result of a commit.
type Receipt struct {
	At time.Time
	// Updated are the update times of the documents, in the order of the writes:
	// At, or earlier if a write has changed nothing.
	Updated []time.Time
	// Requested is what the writes' Times were set to; zero if none has any.
	Requested time.Time
}

// LostRace reports whether nothing was written because a document was not what
// the write's condition says, or because another writer was faster (Aborted).
func LostRace(c codes.Code) bool {
	return c == codes.AlreadyExists || c == codes.FailedPrecondition || c == codes.NotFound || c == codes.Aborted
}

// LostTheRace is LostRace of an error's code.
func LostTheRace(err error) bool { return LostRace(status.Code(err)) }
