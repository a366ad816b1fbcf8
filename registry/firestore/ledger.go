package firestore

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/northstar-engines/realtime-registry/registry"
)

// The ledger's head and its fields. The head has no seq, so that a query for
// entries by seq leaves it out.
const (
	headID        = "head"
	fieldPosition = "position"
)

// The fields of a ledger entry.
const (
	fieldSource      = "source"
	fieldID          = "id"
	fieldTime        = "time" // text, to the nanosecond
	fieldFrom        = "from"
	fieldTo          = "to"
	fieldSeq         = "seq"        // position of the last change to the entry
	fieldChangedAt   = "changed_at" // commit time of that change
	fieldRetracted   = "retracted"
	fieldRetractedBy = "retracted_by"
	fieldRetractedAt = "retracted_at" // text
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
func (s *Store) freshLedger(ctx context.Context) (*registry.Ledger, error) {
	if c := s.cached.Load(); c != nil && time.Since(c.since) < LedgerStaleness {
		return c.Ledger, nil
	}
	return s.refreshLedger(ctx)
}

// refreshLedger reads strongly what has changed in the ledger since the one that
// is known. Callers that wait for one another share the work.
func (s *Store) refreshLedger(ctx context.Context) (*registry.Ledger, error) {
	began := time.Now()
	s.refresh.Lock()
	defer s.refresh.Unlock()
	if c := s.cached.Load(); c != nil && c.since.After(began) {
		return c.Ledger, nil
	}
	sent := time.Now()
	ledger, err := s.ledgerSince(ctx, s.known())
	if err != nil {
		return nil, err
	}
	s.cached.Store(&certifiedLedger{ledger, sent})
	return ledger, nil
}

func (s *Store) ledgerSince(ctx context.Context, known *registry.Ledger) (*registry.Ledger, error) {
	changed, err := s.queryLedger(ctx, known.Seq())
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

func (s *Store) queryLedger(ctx context.Context, after int64) ([]registry.LedgerEntry, error) {
	field := &firestorepb.StructuredQuery_FieldReference{FieldPath: fieldSeq}
	stream, err := s.client.RunQuery(s.outgoing(ctx), &firestorepb.RunQueryRequest{
		Parent: s.database + "/documents",
		QueryType: &firestorepb.RunQueryRequest_StructuredQuery{StructuredQuery: &firestorepb.StructuredQuery{
			From: []*firestorepb.StructuredQuery_CollectionSelector{{CollectionId: s.prefix + LedgerCollection}},
			Where: &firestorepb.StructuredQuery_Filter{FilterType: &firestorepb.StructuredQuery_Filter_FieldFilter{
				FieldFilter: &firestorepb.StructuredQuery_FieldFilter{
					Field: field,
					Op:    firestorepb.StructuredQuery_FieldFilter_GREATER_THAN,
					Value: integer(after),
				}}},
			OrderBy: []*firestorepb.StructuredQuery_Order{{Field: field, Direction: firestorepb.StructuredQuery_ASCENDING}},
		}},
	})
	if err != nil {
		return nil, unavailable("read the ledger", err)
	}
	var entries []registry.LedgerEntry
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return entries, nil
		}
		if err != nil {
			return nil, unavailable("read the ledger", err)
		}
		if d := response.GetDocument(); d != nil {
			e, err := decodeLedgerEntry(d)
			if err != nil {
				return nil, unavailable("read the ledger", err)
			}
			entries = append(entries, e)
		}
	}
}

// appendLedger merges a moved entry into the ledger: the entry and the head in
// one commit, so that positions are in commit order.
func (s *Store) appendLedger(ctx context.Context, e registry.Entry) registry.Outcome {
	changed, err := s.changeLedger(ctx, e.Version, func(before registry.LedgerEntry, exists bool) (registry.LedgerEntry, bool) {
		return before.Merge(e, exists)
	})
	switch {
	case err != nil:
		return registry.Outcome{Kind: registry.Failed, Err: fmt.Errorf("append %s to the ledger: %w", e.ID, err)}
	case !changed:
		return registry.Outcome{Kind: registry.Duplicate}
	}
	return registry.Outcome{Kind: registry.Applied}
}

// changeLedger applies a pure change to one entry. An ambiguous commit, as a
// lost race, is settled by reading again; it then counts as changed.
func (s *Store) changeLedger(ctx context.Context, event registry.Version, change func(registry.LedgerEntry, bool) (registry.LedgerEntry, bool)) (bool, error) {
	name, sent := s.ledgerName(event), false
	var lost error
	for attempt := range s.attempts(ctx) {
		documents, _, err := s.batchGet(ctx, []string{name, s.headName()})
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
		after, changed := change(before, existing != nil)
		if !changed {
			return sent, nil
		}
		head := documents[s.headName()]
		after.Seq = headPosition(head) + 1
		sent = true
		if err := s.commit(ctx, s.ledgerWrite(name, after, existing), s.headWrite(after.Seq, head)); err == nil {
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

func (s *Store) ledgerWrite(name string, e registry.LedgerEntry, existing *firestorepb.Document) *firestorepb.Write {
	fields := map[string]*firestorepb.Value{
		fieldSource: text(e.Source),
		fieldID:     text(e.ID),
		fieldSeq:    integer(e.Seq),
	}
	if !e.RetractionOnly {
		fields[fieldTime], fields[fieldFrom], fields[fieldTo] = text(e.Time.Format(time.RFC3339Nano)), text(e.From), text(e.To)
	}
	if e.Retracted {
		fields[fieldRetracted] = boolean(true)
		fields[fieldRetractedBy], fields[fieldRetractedAt] = text(e.RetractedBy), text(e.RetractedAt.Format(time.RFC3339Nano))
	}
	return &firestorepb.Write{
		Operation:        &firestorepb.Write_Update{Update: &firestorepb.Document{Name: name, Fields: fields}},
		UpdateTransforms: []*firestorepb.DocumentTransform_FieldTransform{commitTime(fieldChangedAt)},
		CurrentDocument:  asRead(existing),
	}
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

func decodeLedgerEntry(d *firestorepb.Document) (registry.LedgerEntry, error) {
	f := d.Fields
	e := registry.LedgerEntry{
		Version:     registry.Version{Source: f[fieldSource].GetStringValue(), ID: f[fieldID].GetStringValue()},
		From:        f[fieldFrom].GetStringValue(),
		To:          f[fieldTo].GetStringValue(),
		Seq:         f[fieldSeq].GetIntegerValue(),
		ChangedAt:   f[fieldChangedAt].GetTimestampValue().AsTime(),
		Retracted:   f[fieldRetracted].GetBooleanValue(),
		RetractedBy: f[fieldRetractedBy].GetStringValue(),
	}
	var err error
	if e.RetractionOnly = f[fieldTime] == nil; !e.RetractionOnly {
		if e.Time, err = time.Parse(time.RFC3339Nano, f[fieldTime].GetStringValue()); err != nil {
			return e, fmt.Errorf("ledger entry %s: time: %w", d.Name, err)
		}
	}
	if e.Retracted {
		if e.RetractedAt, err = time.Parse(time.RFC3339Nano, f[fieldRetractedAt].GetStringValue()); err != nil {
			return e, fmt.Errorf("ledger entry %s: retracted_at: %w", d.Name, err)
		}
	}
	return e, nil
}
