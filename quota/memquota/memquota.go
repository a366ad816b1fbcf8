// Package memquota opens the throttle's windows in this process: for tests, and for
// `dev` and `run --api` in one process. The same code runs over them as over
// Firestore. They are lost when the process ends.
package memquota

import (
	"context"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/internal/quotastore"
)

// Store is a quota.Store in memory. It is safe for concurrent use.
type Store struct {
	*quotastore.Store
	db *memdb.DB
}

// New returns an empty store that takes the time from the machine's clock.
func New() *Store { return NewAt(time.Now) }

// NewAt returns an empty store whose clock is now.
func NewAt(now func() time.Time) *Store {
	db := memdb.New(now)
	s, err := quotastore.New(db, quotastore.Options{})
	must(err)
	return &Store{s, db}
}

// SetPlain writes a document as the Python service does, which knows of
// last_reset and count alone: our fields are gone.
func (s *Store) SetPlain(tenantID, action string, lastReset float64, count int64) {
	key := limits.Key{Tenant: tenantID, Action: action}
	s.commit(s.plain(quotastore.Collection, key.DocumentID(), map[string]any{"last_reset": lastReset, "count": count}))
}

// SetPolicies replaces the policy documents: the fields of each, by its name.
func (s *Store) SetPolicies(documents map[string]map[string]any) {
	var writes []docdb.Write
	given := map[string]bool{}
	for name, fields := range documents {
		w := s.plain(quotastore.PolicyCollection, name, fields)
		writes, given[w.Name] = append(writes, w), true
	}
	must(s.db.Query(context.Background(), docdb.Query{Collection: quotastore.PolicyCollection}, func(d *docdb.Document) error {
		if !given[d.Name] {
			writes = append(writes, docdb.Write{Name: d.Name, Delete: true})
		}
		return nil
	}))
	s.commit(writes...)
}

// Len is the number of windows.
func (s *Store) Len() int { return s.db.Len(quotastore.Collection) }

func (s *Store) commit(writes ...docdb.Write) {
	_, err := s.db.Commit(context.Background(), writes...)
	must(err)
}

// plain replaces a document by fields of these types.
func (s *Store) plain(collection, id string, fields map[string]any) docdb.Write {
	w := docdb.Write{Name: s.db.Name(collection, id), Fields: map[string]*docdb.Value{}}
	for name, v := range fields {
		switch v := v.(type) {
		case string:
			w.Fields[name] = docdb.Text(v)
		case int:
			w.Fields[name] = docdb.Integer(int64(v))
		case int64:
			w.Fields[name] = docdb.Integer(v)
		case float64:
			w.Fields[name] = docdb.Double(v)
		case bool:
			w.Fields[name] = docdb.Boolean(v)
		default:
			panic(fmt.Sprintf("%s: a document in memory has no %T", name, v))
		}
	}
	return w
}

// must is for what cannot fail in memory.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
