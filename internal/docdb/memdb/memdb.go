// Package memdb is a docdb.DB in this process: for tests, for simulations, and
// for `dev` and `run --api` in one process. It forgets everything when the
// process ends.
//
// Like Firestore it keeps what documents were for a while, so that reads as of a
// time see it; drops documents whose expires_at has passed, some time later; and
// leaves the update time as it is when a write changes nothing.
package memdb

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
)

// kept is for how long what a document was can be read.
const kept = 5 * time.Minute

// expiresAt is the field of the TTL policies.
const expiresAt = "expires_at"

// DB is a docdb.DB. New makes one.
type DB struct {
	now func() time.Time

	mu          sync.Mutex
	last        time.Time // of the latest commit
	collections map[string]*collection
	listeners   map[*listener]struct{}
}

var _ docdb.DB = (*DB)(nil)

// collection is the documents of one collection, by id.
type collection struct {
	documents map[string][]version
	sorted    []string // the ids, in order; nil if they are to be sorted anew
	texts     textIndex
	sweepAt   int // number of documents at which expired ones are dropped
}

// version is a document since a time; its document is nil if it was removed.
type version struct {
	since    time.Time
	document *docdb.Document
}

// New returns an empty database. It takes the time from now; commit times grow even
// if now stands still.
func New(now func() time.Time) *DB {
	return &DB{now: now, collections: map[string]*collection{}, listeners: map[*listener]struct{}{}}
}

// Close implements docdb.DB. There is nothing to release, and others may still use
// it.
func (db *DB) Close() error { return nil }

// Name implements docdb.DB.
func (db *DB) Name(collection, id string) string { return collection + "/" + id }

// Len returns how many documents a collection has.
func (db *DB) Len(name string) int {
	db.mu.Lock()
	defer db.mu.Unlock()
	return len(db.collection(name).documents)
}

// clock is the time of a read: not before any commit.
func (db *DB) clock() time.Time {
	if now := db.now().UTC().Truncate(time.Microsecond); now.After(db.last) {
		return now
	}
	return db.last
}

// tick is the time of a commit: after every other one.
func (db *DB) tick() time.Time {
	now := db.clock()
	if !now.After(db.last) {
		now = db.last.Add(time.Microsecond)
	}
	db.last = now
	return now
}

func (db *DB) collection(name string) *collection {
	c := db.collections[name]
	if c == nil {
		c = &collection{documents: map[string][]version{}, sweepAt: 1024}
		db.collections[name] = c
	}
	return c
}

// put makes a document what it is from a time on; nil removes it.
func (db *DB) put(name string, since time.Time, d *docdb.Document) {
	collection, id, _ := strings.Cut(name, "/")
	c := db.collection(collection)
	versions, existed := c.documents[id]
	if !existed {
		c.sorted = nil
	}
	past := slices.IndexFunc(versions, func(old version) bool { return since.Sub(old.since) < kept })
	switch {
	case past < 0: // the last one is what it was before
		versions = versions[max(0, len(versions)-1):]
	case past > 1:
		versions = versions[past-1:]
	}
	c.documents[id] = append(versions, version{since, d})
	c.texts.add(id, d)
	db.changed(name)
	if len(c.documents) >= c.sweepAt {
		db.sweep(collection, since)
	}
}

// sweep drops what has expired, or was removed long ago, so seldom that a write
// pays for little of it.
func (db *DB) sweep(collection string, now time.Time) {
	c := db.collection(collection)
	for id, versions := range c.documents {
		last := versions[len(versions)-1]
		expires := last.document.GetFields()[expiresAt].GetTimestampValue()
		gone := last.document == nil && now.Sub(last.since) > kept
		if gone || expires != nil && expires.AsTime().Before(now) {
			delete(c.documents, id)
			db.changed(collection + "/" + id)
		}
	}
	c.sorted, c.texts, c.sweepAt = nil, nil, max(1024, 2*len(c.documents))
}

// ids are those of all documents, in order, and of some that were removed.
func (c *collection) ids() []string {
	if c.sorted == nil {
		c.sorted = slices.Sorted(maps.Keys(c.documents))
	}
	return c.sorted
}

// at is a document as of a time; nil if there was none.
func (c *collection) at(id string, t time.Time) *docdb.Document {
	versions := c.documents[id]
	for i := len(versions) - 1; i >= 0; i-- {
		if !versions[i].since.After(t) {
			return versions[i].document
		}
	}
	return nil
}

// now is a document as it is; nil if there is none.
func (c *collection) now(id string) *docdb.Document {
	if versions := c.documents[id]; len(versions) > 0 {
		return versions[len(versions)-1].document
	}
	return nil
}

// ended returns why a call whose context has ended does nothing.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return status.FromContextError(err).Err()
	}
	return nil
}
