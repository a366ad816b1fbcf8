// Package firestoredb is a docdb.DB in Google Cloud Firestore: the wire, for the
// registry and for the throttle. It uses Firestore's own interface, the one that
// has BatchWrite with preconditions.
package firestoredb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/api/option"
	"google.golang.org/grpc/metadata"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
)

// Options says which database to use.
type Options struct {
	ProjectID string // required
	Database  string // default "(default)"
	Prefix    string // goes, literally, before all collection names

	// Connection is shared with others, and is theirs to close. nil: one of its
	// own, made with ClientOptions as Dial takes them.
	Connection    *Connection
	ClientOptions []option.ClientOption
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

// String names the database in errors.
func (o Options) String() string {
	return fmt.Sprintf("firestore project %q, database %q", o.ProjectID, o.database())
}

func (o Options) database() string { return cmp.Or(o.Database, "(default)") }

// DB is a docdb.DB. Open makes one.
type DB struct {
	*Connection
	shared   bool
	database string // projects/{project}/databases/{database}
	prefix   string
}

var _ docdb.DB = (*DB)(nil)

// Open makes a database of valid options. It asks nothing of it yet.
func Open(ctx context.Context, o Options) (*DB, error) {
	db := &DB{
		Connection: o.Connection,
		shared:     o.Connection != nil,
		database:   fmt.Sprintf("projects/%s/databases/%s", o.ProjectID, o.database()),
		prefix:     o.Prefix,
	}
	if db.shared {
		return db, nil
	}
	var err error
	db.Connection, err = Dial(ctx, o.ClientOptions)
	return db, err
}

// Close implements docdb.DB.
func (db *DB) Close() error {
	if db.shared {
		return nil
	}
	return db.Connection.Close()
}

// Name implements docdb.DB.
func (db *DB) Name(collection, id string) string {
	return db.root() + "/" + db.prefix + collection + "/" + id
}

func (db *DB) root() string { return db.database + "/documents" }

// outgoing adds what the service routes by.
func (db *DB) outgoing(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "google-cloud-resource-prefix", db.database)
}
