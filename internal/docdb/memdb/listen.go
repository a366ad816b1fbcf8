package memdb

import (
	"context"
	"errors"
	"strings"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
)

// listener is one Listen.
type listener struct {
	collections map[string]bool
	changes     []string      // names of documents that have changed since they were reported
	news        chan struct{} // has room for one
}

// changed notes for listeners that a document has changed.
func (db *DB) changed(name string) {
	collection, _, _ := strings.Cut(name, "/")
	for l := range db.listeners {
		if l.collections[collection] {
			l.changes = append(l.changes, name)
		}
	}
}

// announce wakes the listeners that have something to report.
func (db *DB) announce() {
	for l := range db.listeners {
		if len(l.changes) > 0 {
			select {
			case l.news <- struct{}{}:
			default:
			}
		}
	}
}

// Listen implements docdb.DB. It misses nothing.
func (db *DB) Listen(ctx context.Context, targets []docdb.Target, tell func(docdb.Event)) error {
	l := &listener{collections: map[string]bool{}, news: make(chan struct{}, 1)}
	found := make([]map[string]bool, len(targets)) // what was reported, by name
	db.mu.Lock()
	for i, t := range targets {
		found[i] = map[string]bool{}
		collection, _, _ := strings.Cut(t.Document, "/")
		if t.Document == "" {
			collection = t.Query.Collection
		}
		l.collections[collection] = true
		for _, id := range db.collection(collection).ids() {
			l.changes = append(l.changes, collection+"/"+id)
		}
	}
	db.listeners[l] = struct{}{}
	db.mu.Unlock()
	defer func() {
		db.mu.Lock()
		defer db.mu.Unlock()
		delete(db.listeners, l)
	}()
	for {
		for _, e := range db.events(l, targets, found) {
			tell(e)
		}
		tell(docdb.Event{Whole: true})
		select {
		case <-ctx.Done():
			return errors.Join(ended(ctx), context.Cause(ctx))
		case <-l.news:
		}
	}
}

// events are what has changed since they were asked for before.
func (db *DB) events(l *listener, targets []docdb.Target, found []map[string]bool) (events []docdb.Event) {
	db.mu.Lock()
	defer db.mu.Unlock()
	told := map[string]bool{}
	for _, name := range l.changes {
		if told[name] {
			continue
		}
		told[name] = true
		d := db.current(name)
		for i, t := range targets {
			switch is := d != nil && (found[i][name] || t.Query.Limit == 0 || len(found[i]) < t.Query.Limit) && isOf(t, name, d); {
			case is:
				found[i][name] = true
				events = append(events, docdb.Event{Target: i, Document: d})
			case found[i][name]:
				delete(found[i], name)
				events = append(events, docdb.Event{Target: i, Gone: name})
			}
		}
	}
	l.changes = nil
	return events
}

// isOf reports whether a document is a target's.
func isOf(t docdb.Target, name string, d *docdb.Document) bool {
	if t.Document != "" {
		return name == t.Document
	}
	collection, _, _ := strings.Cut(name, "/")
	return collection == t.Query.Collection && matches(d, t.Query)
}
