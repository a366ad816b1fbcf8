package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/docdb/firestoredb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

// place is a database of its own, ledgerRoundTrip away.
type place struct {
	db  docdb.DB
	end func() error
}

// emulated is a place in the emulator, behind the rules of the services.
func (b *bench) emulated(ctx context.Context) (*place, error) {
	stage, err := b.newLedgerStage()
	if err != nil {
		return nil, err
	}
	db, err := firestoredb.Open(ctx, firestoredb.Options{ProjectID: stage.project, ClientOptions: stage.away.options()})
	if err != nil {
		return nil, errors.Join(err, stage.away.close())
	}
	return &place{db, func() error { return errors.Join(db.Close(), stage.away.close()) }}, nil
}

// inMemory is a place in this process: what is waited for there is the distance, and
// what this process does itself.
func (b *bench) inMemory(context.Context) (*place, error) {
	db := docdbtest.Around(memdb.New(time.Now), func(c *docdbtest.Call, do func() error) error {
		if c.Method == "Listen" {
			return do()
		}
		time.Sleep(ledgerRoundTrip / 2)
		err := do()
		time.Sleep(ledgerRoundTrip / 2)
		return err
	})
	return &place{db, func() error { return nil }}, nil
}

// open is one process's store, over the place or what stands before it.
func open(ctx context.Context, db docdb.DB) (*fsregistry.Store, error) {
	return regstore.Open(ctx, shared{db}, regstore.Options{})
}

// shared is a database that its stores do not close.
type shared struct{ docdb.DB }

func (shared) Close() error { return nil }

// recording is what a process asked of a database: the queries, counts and writes of
// documents, and when.
type recording struct {
	mu    sync.Mutex
	began time.Time
	calls []recorded
}

type recorded struct {
	after time.Duration
	call  docdbtest.Call
}

// begin forgets what was before.
func (r *recording) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.began, r.calls = time.Now(), nil
}

// around records what goes to a database.
func (r *recording) around(db docdb.DB) docdb.DB {
	return docdbtest.Around(db, func(c *docdbtest.Call, do func() error) error {
		if c.Method == "Query" || c.Method == "Count" || c.Method == "BatchWrite" {
			r.mu.Lock()
			r.calls = append(r.calls, recorded{time.Since(r.began), docdbtest.Call{Method: c.Method, Query: c.Query, Writes: c.Writes}})
			r.mu.Unlock()
		}
		return do()
	})
}

// again makes the same calls at the same times, by a client that does nothing else.
// What was written is written again. The error is that of ctx: what becomes of the
// calls does not matter.
func (r *recording) again(ctx context.Context, db docdb.DB) error {
	var all sync.WaitGroup
	defer all.Wait()
	began := time.Now()
	for _, one := range r.calls {
		select {
		case <-time.After(one.after - time.Since(began)):
		case <-ctx.Done():
			return ctx.Err()
		}
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, 30*time.Second) // the worker's
			defer cancel()
			switch c := one.call; c.Method {
			case "Query":
				_ = db.Query(ctx, c.Query, func(*docdb.Document) error { return nil })
			case "Count":
				_, _ = db.Count(ctx, c.Query)
			case "BatchWrite":
				writes := append([]docdb.Write{}, c.Writes...)
				for i := range writes {
					writes[i].If = docdb.Condition{}
				}
				_, _ = db.BatchWrite(ctx, writes)
			}
		})
	}
	return nil
}
