package firestore

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/northstar-engines/realtime-registry/registry"
)

// The ledger's head and its fields. The head has no seq, so that a query for
// entries by seq leaves it out.
const (
	headID        = "head"
	fieldPosition = "position"
)

func (s *Store) headName() string { return s.document(LedgerCollection, headID) }

// ledgerName is injective over events: a hash, since sources and ids may hold
// what a document name may not.
func (s *Store) ledgerName(v registry.Version) string {
	hash := sha256.Sum256([]byte(v.Source + "\x00" + v.ID))
	return s.document(LedgerCollection, base64.RawURLEncoding.EncodeToString(hash[:]))
}

func headPosition(d *firestorepb.Document) int64 {
	return d.GetFields()[fieldPosition].GetIntegerValue()
}

// known is the newest ledger that this process has; never nil after Open.
func (s *Store) known() *registry.Ledger {
	if c := s.cached.Load(); c != nil {
		return c.Ledger
	}
	return nil
}

// certify takes note that the ledger stood at position when a read that was
// sent at sent was answered, and returns the ledger known now.
func (s *Store) certify(position int64, sent time.Time) *registry.Ledger {
	for {
		c := s.cached.Load()
		if c == nil {
			return nil
		}
		if c.Seq() != position || !sent.After(c.since) {
			return c.Ledger
		}
		if s.cached.CompareAndSwap(c, &certifiedLedger{c.Ledger, sent}) {
			return c.Ledger
		}
	}
}

// freshLedger returns a ledger that is at most LedgerStaleness old, for writers.
func (s *Store) freshLedger(ctx context.Context) (*certifiedLedger, error) {
	if c := s.cached.Load(); c != nil && time.Since(c.since) < s.ledgerStaleness {
		return c, nil
	}
	return s.refreshLedger(ctx)
}

// refreshLedger reads strongly what has changed in the ledger since the one that
// is known. Callers that wait for one another share the work, each for no longer
// than its own ctx; a read that does not end holds them up for CommitDeadline.
func (s *Store) refreshLedger(ctx context.Context) (*certifiedLedger, error) {
	began := time.Now()
	select {
	case s.refresh <- struct{}{}:
		defer func() { <-s.refresh }()
	case <-ctx.Done():
		return nil, unavailable("read the ledger", ctx.Err())
	}
	ctx, cancel := context.WithTimeout(ctx, s.commitDeadline)
	defer cancel()
	if c := s.cached.Load(); c != nil && c.since.After(began) {
		return c, nil
	}
	sent := time.Now()
	ledger, err := s.ledgerSince(ctx, s.known())
	if err != nil {
		return nil, err
	}
	fresh := &certifiedLedger{ledger, sent}
	s.cached.Store(fresh)
	return fresh, nil
}

// ledgerFor is freshLedger, not older than any of the records.
func (s *Store) ledgerFor(ctx context.Context, records []registry.Record) (*certifiedLedger, error) {
	ledger, err := s.freshLedger(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if r.LedgerSeq > ledger.Seq() {
			return s.refreshLedger(ctx)
		}
	}
	return ledger, nil
}

func (s *Store) ledgerSince(ctx context.Context, known *registry.Ledger) (*registry.Ledger, error) {
	changed, err := s.ledgerEntries(ctx, known.Seq())
	if err != nil {
		return nil, err
	}
	if len(changed) == 0 && known != nil {
		return known, nil
	}
	type event struct{ source, id string }
	seq, newest := known.Seq(), map[event]registry.LedgerEntry{}
	for _, e := range known.Entries() {
		newest[event{e.Source, e.ID}] = e
	}
	for _, e := range changed {
		newest[event{e.Source, e.ID}] = e
		seq = max(seq, e.Seq)
	}
	entries := make([]registry.LedgerEntry, 0, len(newest))
	for _, e := range newest {
		entries = append(entries, e)
	}
	return registry.NewLedger(seq, entries), nil
}

// queryLedger returns the entries whose field is greater than after, in the
// order of that field, at most limit of them where that is not 0.
func (s *Store) queryLedger(ctx context.Context, by string, after int64, limit int32) ([]*firestorepb.Document, error) {
	field := &firestorepb.StructuredQuery_FieldReference{FieldPath: by}
	query := &firestorepb.StructuredQuery{
		From: []*firestorepb.StructuredQuery_CollectionSelector{{CollectionId: s.prefix + LedgerCollection}},
		Where: &firestorepb.StructuredQuery_Filter{FilterType: &firestorepb.StructuredQuery_Filter_FieldFilter{
			FieldFilter: &firestorepb.StructuredQuery_FieldFilter{
				Field: field,
				Op:    firestorepb.StructuredQuery_FieldFilter_GREATER_THAN,
				Value: integer(after),
			}}},
		OrderBy: []*firestorepb.StructuredQuery_Order{{Field: field, Direction: firestorepb.StructuredQuery_ASCENDING}},
	}
	if limit > 0 {
		query.Limit = wrapperspb.Int32(limit)
	}
	return s.query(ctx, query, time.Time{})
}

func (s *Store) ledgerEntries(ctx context.Context, after int64) ([]registry.LedgerEntry, error) {
	documents, err := s.queryLedger(ctx, fieldSeq, after, 0)
	if err != nil {
		return nil, unavailable("read the ledger", err)
	}
	entries := make([]registry.LedgerEntry, len(documents))
	for i, d := range documents {
		if entries[i], err = decodeLedgerEntry(d); err != nil {
			return nil, unavailable("read the ledger", err)
		}
	}
	return entries, nil
}

// Moves implements registry.Store.
func (s *Store) Moves(ctx context.Context) (_ []registry.LedgerEntry, err error) {
	ctx, done := s.telemetry.start(ctx, "moves", 0)
	defer func() { done(err) }()
	entries, err := s.ledgerEntries(ctx, 0)
	return registry.NewLedger(0, entries).Entries(), err
}

// appendLedger merges a moved entry into the ledger.
func (s *Store) appendLedger(ctx context.Context, e registry.Entry) registry.Outcome {
	changed, err := s.changeLedger(ctx, e.Version, func(before registry.LedgerEntry, exists bool, _ time.Time) (registry.LedgerEntry, bool) {
		return before.Merge(e, exists)
	})
	return ledgerOutcome(fmt.Sprintf("append %s to the ledger", e.ID), changed, err)
}

// Retract implements registry.Store.
func (s *Store) Retract(ctx context.Context, r registry.Retraction) registry.Outcome {
	ctx, done := s.telemetry.start(ctx, "retract", 1)
	version := registry.Version{Source: r.Source, ID: r.ID}
	changed, err := s.changeLedger(ctx, version, func(before registry.LedgerEntry, exists bool, now time.Time) (registry.LedgerEntry, bool) {
		if r.At.IsZero() {
			r.At = now
		}
		return before.Retract(r, exists)
	})
	done(err)
	return ledgerOutcome(fmt.Sprintf("retract %s", r.ID), changed, err)
}

func ledgerOutcome(operation string, changed bool, err error) registry.Outcome {
	switch {
	case err != nil:
		return registry.Outcome{Kind: registry.Failed, Err: fmt.Errorf("%s: %w", operation, err)}
	case !changed:
		return registry.Outcome{Kind: registry.Duplicate}
	}
	return registry.Outcome{Kind: registry.Applied}
}

// changeLedger applies a pure change, which is given the store's time, to one
// entry: the entry and the head in one commit, so that positions are in commit
// order. An ambiguous commit, as a lost race, is settled by reading again; it
// then counts as changed.
func (s *Store) changeLedger(ctx context.Context, event registry.Version, change func(registry.LedgerEntry, bool, time.Time) (registry.LedgerEntry, bool)) (bool, error) {
	name, sent := s.ledgerName(event), false
	var lost error
	for attempt := range s.attempts(ctx) {
		documents, now, err := s.batchGet(ctx, []string{name, s.headName()})
		if err != nil {
			return false, errors.Join(lost, err)
		}
		var before registry.LedgerEntry
		existing := documents[name]
		if existing != nil {
			if before, err = decodeLedgerEntry(existing); err != nil {
				return false, unavailable("read the ledger", err)
			}
		}
		after, changed := change(before, existing != nil, now)
		if !changed {
			return sent, nil
		}
		head := documents[s.headName()]
		after.Seq = headPosition(head) + 1
		sent = true
		soon := time.Now().Add(s.commitDeadline)
		if _, err := s.commit(ctx, soon, s.ledgerWrite(name, after, existing), s.headWrite(after.Seq, head)); err == nil {
			// So that this process folds with it at once; others follow, and so
			// would this one if the read failed.
			_, _ = s.refreshLedger(ctx)
			return true, nil
		} else if lost = err; !worthRereading(err, attempt) {
			return false, err
		}
	}
	return false, lost
}

func (s *Store) headWrite(position int64, existing *firestorepb.Document) *firestorepb.Write {
	return &firestorepb.Write{
		Operation: &firestorepb.Write_Update{Update: &firestorepb.Document{
			Name:   s.headName(),
			Fields: map[string]*firestorepb.Value{fieldPosition: integer(position)},
		}},
		UpdateTransforms: []*firestorepb.DocumentTransform_FieldTransform{commitTime(fieldChangedAt)},
		CurrentDocument:  asRead(existing),
	}
}
