package regstore

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// mostChanges is how many feed entries are read at once; who is further behind
// has missed them: to read everything again is cheaper.
const mostChanges = 20_000

// Changes implements ownership.Feed: the ledger's head, what has changed in the
// ledger if anything has, and the feed, these two as of the head's read time, so
// that all are of one time. That is three requests at most.
//
// An entry's time is that of the request which wrote it, and its commit may come
// as much later as a commit may take. So each read overlaps the one before by
// that: what was committed after it, with a time before it, is told. It costs
// the head, and one read for each entry, or for none.
func (s *Store) Changes(ctx context.Context, after time.Time) (_ ownership.FeedBatch, err error) {
	ctx, done := s.telemetry.start(ctx, "changes", 0)
	defer func() { done(err) }()
	head, err := s.readWithHead(ctx, nil)
	if err != nil {
		return ownership.FeedBatch{}, fmt.Errorf("read the change feed: %w", err)
	}
	return s.changesAt(ctx, head, after)
}

func (s *Store) changesAt(ctx context.Context, head ownership.Snapshot, after time.Time) (ownership.FeedBatch, error) {
	batch := ownership.FeedBatch{Ledger: head.Ledger, At: head.ReadTime}
	batch.From = after.Add(-s.commitDeadline - timestampSlack)
	if after.IsZero() || head.ReadTime.Sub(after) > FeedTTL/2 {
		batch.Missed = true
		return batch, nil
	}
	query := feedSince(batch.From, mostChanges+1)
	query.Select, query.At = []string{fieldResource, fieldAt, fieldFormat}, head.ReadTime
	err := s.query(ctx, query, func(d *docdb.Document) error {
		if e, err := s.feedEntry(ctx, d); err == nil {
			batch.Entries = append(batch.Entries, e)
		} else {
			batch.Missed = true // it may be about anything
		}
		return nil
	})
	if err != nil {
		return ownership.FeedBatch{}, fmt.Errorf("read the change feed: %w", err)
	}
	if len(batch.Entries) > mostChanges {
		batch.Entries, batch.Missed = nil, true
	}
	return batch, nil
}

// feedSince queries feed entries from a time on.
func feedSince(from time.Time, limit int) docdb.Query {
	return docdb.Query{
		Collection: FeedCollection,
		Any:        []docdb.Filter{{Field: fieldAt, Op: docdb.AtLeast, Value: docdb.Timestamp(from)}},
		OrderBy:    fieldAt,
		Limit:      limit,
	}
}

// feedEntry is the entry of a document. The error says why it is not understood.
func (s *Store) feedEntry(ctx context.Context, d *docdb.Document) (ownership.FeedEntry, error) {
	_, err := decodeFormat(d)
	resource, err2 := registry.ParseDocumentID(d.Fields[fieldResource].GetStringValue())
	if err := cmp.Or(err, named(fieldResource, err2)); err != nil {
		return ownership.FeedEntry{}, s.tooNew(ctx, "feed", ownership.TooNew(shortName(d.Name), err))
	}
	return ownership.FeedEntry{ID: path.Base(d.Name), Resource: resource, At: timestamp(d.Fields[fieldAt])}, nil
}
