package regstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Changes implements ownership.Feed: the ledger's head, what has changed in the
// ledger if anything has, and the feed, these two as of the head's read time, so
// that all are of one time.
//
// An entry's time is that of the request which wrote it, and its commit may come
// as much later as a commit may take. So the cursor's floor lies that far before
// its last read: what was committed after that, with a time before it, is told.
func (s *Store) Changes(ctx context.Context, cursor *ownership.FeedCursor) (_ ownership.FeedBatch, err error) {
	ctx, done := s.telemetry.start(ctx, "changes", 0)
	defer func() { done(err) }()
	head, err := s.readWithHead(ctx, nil)
	if err == nil {
		err = s.tellUpTo(ctx, head.ReadTime, cursor)
	}
	if err != nil && !errors.Is(err, errBegun) {
		return ownership.FeedBatch{}, fmt.Errorf("read the change feed: %w", err)
	}
	return ownership.FeedBatch{Ledger: head.Ledger, At: head.ReadTime, Missed: err != nil}, nil
}

// errBegun is that the cursor could not be brought on, and was begun anew.
var errBegun = errors.New("the feed may have missed something")

// tellUpTo tells the cursor of what was committed up to a time.
func (s *Store) tellUpTo(ctx context.Context, at time.Time, cursor *ownership.FeedCursor) error {
	from, next := cursor.Floor(), at.Add(-s.commitDeadline-timestampSlack)
	if from.IsZero() || next.Sub(from) > FeedTTL/2 {
		cursor.Begin(next)
		return errBegun
	}
	query := feedSince(from, 0)
	query.Select, query.At = []string{fieldResource, fieldResources, fieldAt, fieldFormat}, at
	if err := s.tellPages(ctx, query, cursor); err != nil {
		return err
	}
	cursor.Advance(next)
	return nil
}

// pageOfFeed is how many entries are told at once.
const pageOfFeed = 100

// tellPages tells the cursor of what a query finds, page by page: what was told
// stays told if the query fails.
func (s *Store) tellPages(ctx context.Context, query docdb.Query, cursor *ownership.FeedCursor) error {
	var page []ownership.FeedEntry
	err := s.query(ctx, query, func(d *docdb.Document) error {
		page = append(page, s.feedEntry(ctx, d, cursor)...)
		if len(page) >= pageOfFeed {
			cursor.Tell(page...)
			page = nil
		}
		return nil
	})
	cursor.Tell(page...)
	return err
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

// feedEntry is the entry of a document; none if the cursor knows it.
func (s *Store) feedEntry(ctx context.Context, d *docdb.Document, cursor *ownership.FeedCursor) []ownership.FeedEntry {
	e := ownership.FeedEntry{ID: path.Base(d.Name), At: timestamp(d.Fields[fieldAt])}
	if cursor.Knows(e.ID, e.At) {
		return nil
	}
	_, err := decodeFormat(d)
	resources, err2 := decodeResources(d.Fields)
	if err := cmp.Or(err, err2); err != nil {
		e.Unread = s.tooNew(ctx, "feed", ownership.TooNew(shortName(d.Name), err))
	} else {
		e.Resources = resources
	}
	return []ownership.FeedEntry{e}
}

// decodeResources is what an entry names: in one field if it is one resource, as
// in format 1, else in the other.
func decodeResources(fields map[string]*docdb.Value) ([]registry.Resource, error) {
	names, field := fields[fieldResources].GetArrayValue().GetValues(), fieldResources
	if one := fields[fieldResource]; !docdb.Missing(one) {
		names, field = []*docdb.Value{one}, fieldResource
	}
	if len(names) == 0 {
		return nil, errors.New("it names no resource")
	}
	resources := make([]registry.Resource, len(names))
	for i, name := range names {
		var err error
		if resources[i], err = registry.ParseDocumentID(name.GetStringValue()); err != nil {
			return nil, named(field, err)
		}
	}
	return resources, nil
}
