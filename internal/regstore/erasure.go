package regstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Forget takes a tenant's name out of documents, and deletes those that the tenant
// owns. Records that have changed since they were read are read again. Those that
// cannot be folded are left alone; the others are written, and the error wraps
// ErrTooNew. It is for tenants that the ledger says were erased: what other processes
// write they write without the name.
func (s *Store) Forget(ctx context.Context, records []ownership.Record, f ownership.Forget) (done ownership.Forgotten, err error) {
	ctx, end := s.telemetry.start(ctx, "forget", len(records))
	defer func() { end(err) }()
	ledger, err := s.ledgerFor(ctx, records)
	if err != nil {
		return done, fmt.Errorf("forget: %w", err)
	}
	if _, knows := ledger.Pseudonym(f.Tenant); !knows {
		// The answer that would have told this process of the erasure was lost. By an
		// older ledger a document with the new name does not follow moves that have the
		// old one: it would be deleted, though another tenant owns it.
		if ledger, err = s.refreshLedger(ctx); err != nil {
			return done, fmt.Errorf("forget: %w", err)
		}
		if _, knows = ledger.Pseudonym(f.Tenant); !knows {
			return done, unavailable("forget", errors.New("the ledger does not say yet that the tenant was erased"))
		}
	}
	return s.rewrite(ctx, "forget", records, ledger, &f)
}

// ChangeLedger makes changes of the ledger, through its lane, and returns an outcome
// for each.
func (s *Store) ChangeLedger(ctx context.Context, changes []ownership.LedgerChange) []ownership.Outcome {
	return s.lane.change(ctx, changes)
}

// Empty gives an entry of the ledger that says nothing any more a name that says
// nothing (ownership.EmptiedAs). Its document stays where it is: it is one of those
// whose positions a snapshot counts.
func (s *Store) Empty(ctx context.Context, name ownership.EventName) error {
	as := ownership.EmptiedAs(name)
	_, err := s.commit(ctx, time.Now().Add(s.commitDeadline), docdb.Write{
		Name:   s.ledgerName(name),
		Fields: map[string]*docdb.Value{fieldSource: docdb.Text(as.Source), fieldID: docdb.Text(as.ID)},
		Mask:   []string{fieldSource, fieldID},
	})
	return err
}

// DropSnapshot deletes the ledger's snapshot and its chunks: starts read all entries
// until a worker has written another.
func (s *Store) DropSnapshot(ctx context.Context) error {
	// First the document that has the lease: without it nobody writes chunks. Those of
	// leases that were taken since are of a later ledger, and stay.
	dropped, err := s.commit(ctx, time.Now().Add(s.commitDeadline), docdb.Write{Name: s.snapshotName(), Delete: true})
	if err != nil {
		return err
	}
	query := docdb.Query{
		Collection: LedgerCollection, After: s.db.Name(LedgerCollection, chunkPrefix),
		UpTo: s.db.Name(LedgerCollection, chunkPrefix+leaseName(dropped.At)), Select: []string{fieldFormat},
	}
	var writes []docdb.Write
	err = s.query(ctx, query, func(d *docdb.Document) error {
		writes = append(writes, docdb.Write{Name: d.Name, Delete: true})
		return nil
	})
	for len(writes) > 0 && err == nil {
		n := min(len(writes), docdb.MaxWrites)
		_, err = s.commit(ctx, time.Now().Add(s.commitDeadline), writes[:n]...)
		writes = writes[n:]
	}
	return err
}

// rewrite writes what an update of the records says, and reads those again that have
// changed since they were read.
func (s *Store) rewrite(ctx context.Context, operation string, records []ownership.Record, ledger *certifiedLedger, f *ownership.Forget) (ownership.Forgotten, error) {
	b := &batch{store: s, outcomes: nil}
	var targets []*target
	var foldable []ownership.Record
	var unread error
	for _, r := range records {
		if r.Resource == (registry.Resource{}) {
			continue
		}
		if err := r.Unfoldable(ledger.Ledger); err != nil {
			unread = err
			continue
		}
		targets = append(targets, &target{resource: r.Resource, forget: f})
		foldable = append(foldable, r)
	}
	left, _ := b.write(ctx, targets, foldable, ledger, docdb.MaxWrites/2) // what failed is read again
	if len(left) > 0 {
		if err := b.merge(ctx, left); err != nil {
			return b.forgotten(), fmt.Errorf("%s: %w", operation, err)
		}
	}
	return b.forgotten(), named(operation, unread)
}

// forgotten counts what the batch has written so far.
func (b *batch) forgotten() ownership.Forgotten {
	return ownership.Forgotten{Written: int(b.written.Load()), Deleted: int(b.deleted.Load())}
}
