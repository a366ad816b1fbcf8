package firestore

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/northstar-engines/realtime-registry/registry"
)

// mostChanges is how many feed entries are read at once; who is further behind
// has missed them: to read everything again is cheaper.
const mostChanges = 20_000

// Changes implements registry.Feed: the ledger's head, what has changed in the
// ledger if anything has, and the feed, these two as of the head's read time, so
// that all are of one time. That is three requests at most.
//
// An entry's time is that of the request which wrote it, and its commit may come
// as much later as a commit may take. So each read overlaps the one before by
// that: what was committed after it, with a time before it, is told. It costs
// the head, and one read for each entry, or for none.
func (s *Store) Changes(ctx context.Context, after time.Time) (_ registry.FeedBatch, err error) {
	ctx, done := s.telemetry.start(ctx, "changes", 0)
	defer func() { done(err) }()
	head, err := s.readWithHead(ctx, nil)
	if err != nil {
		return registry.FeedBatch{}, fmt.Errorf("read the change feed: %w", err)
	}
	return s.changesAt(ctx, head, after)
}

func (s *Store) changesAt(ctx context.Context, head registry.Snapshot, after time.Time) (registry.FeedBatch, error) {
	batch := registry.FeedBatch{Ledger: head.Ledger, At: head.ReadTime}
	batch.From = after.Add(-s.commitDeadline - timestampSlack)
	if after.IsZero() || head.ReadTime.Sub(after) > FeedTTL/2 {
		batch.Missed = true
		return batch, nil
	}
	query := s.feedSince(batch.From, mostChanges+1)
	query.Select = &firestorepb.StructuredQuery_Projection{Fields: []*firestorepb.StructuredQuery_FieldReference{
		{FieldPath: fieldResource}, {FieldPath: fieldAt}, {FieldPath: fieldFormat},
	}}
	err := s.stream(ctx, query, head.ReadTime, func(d *firestorepb.Document) error {
		if e, err := s.feedEntry(ctx, d); err == nil {
			batch.Entries = append(batch.Entries, e)
		} else {
			batch.Missed = true // it may be about anything
		}
		return nil
	})
	if err != nil {
		return registry.FeedBatch{}, fmt.Errorf("read the change feed: %w", err)
	}
	if len(batch.Entries) > mostChanges {
		batch.Entries, batch.Missed = nil, true
	}
	return batch, nil
}

// feedSince queries feed entries from a time on.
func (s *Store) feedSince(from time.Time, limit int32) *firestorepb.StructuredQuery {
	at := &firestorepb.StructuredQuery_FieldReference{FieldPath: fieldAt}
	return &firestorepb.StructuredQuery{
		From: []*firestorepb.StructuredQuery_CollectionSelector{{CollectionId: s.prefix + FeedCollection}},
		Where: &firestorepb.StructuredQuery_Filter{FilterType: &firestorepb.StructuredQuery_Filter_FieldFilter{
			FieldFilter: &firestorepb.StructuredQuery_FieldFilter{
				Field: at,
				Op:    firestorepb.StructuredQuery_FieldFilter_GREATER_THAN_OR_EQUAL,
				Value: &firestorepb.Value{ValueType: &firestorepb.Value_TimestampValue{TimestampValue: timestamppb.New(from)}},
			}}},
		OrderBy: []*firestorepb.StructuredQuery_Order{{Field: at, Direction: firestorepb.StructuredQuery_ASCENDING}},
		Limit:   wrapperspb.Int32(limit),
	}
}

// feedEntry is the entry of a document. The error says why it is not understood.
func (s *Store) feedEntry(ctx context.Context, d *firestorepb.Document) (registry.FeedEntry, error) {
	_, err := decodeFormat(d)
	resource, err2 := registry.ParseDocumentID(d.Fields[fieldResource].GetStringValue())
	if err := cmp.Or(err, named(fieldResource, err2)); err != nil {
		return registry.FeedEntry{}, s.tooNew(ctx, "feed", registry.TooNew(shortName(d.Name), err))
	}
	return registry.FeedEntry{ID: path.Base(d.Name), Resource: resource, At: timestamp(d.Fields[fieldAt])}, nil
}
