package regstore

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// Changes implements ownership.Feed: the ledger's head, what has changed in the
// ledger if anything has, and the feed, these two as of the head's read time, so
// that all are of one time.
//
// An entry's time is that of the request which wrote it, and its commit may come
// as much later as a commit may take. So the cursor's floor lies that far before
// its last read: what was committed after that, with a time before it, must be
// told. If the cursor has been told of nearly all entries since, they are not
// read again but counted: as many as were told are those that were told.
func (s *Store) Changes(ctx context.Context, cursor *ownership.FeedCursor) (_ ownership.FeedBatch, err error) {
	ctx, done := s.telemetry.start(ctx, "changes", 0)
	defer func() { done(err) }()
	known := cursor.View() // before the read: all of it was committed by then
	head, err := s.readWithHead(ctx, nil)
	if err != nil {
		return ownership.FeedBatch{}, fmt.Errorf("read the change feed: %w", err)
	}
	batch := ownership.FeedBatch{Ledger: head.Ledger, At: head.ReadTime, PlainSetsOver: !s.plainSetsOverSince().IsZero()}
	r := feedRead{store: s, cursor: cursor, known: known, at: head.ReadTime}
	r.floor = r.at.Add(-s.commitDeadline - timestampSlack)
	if sameEpoch := cursor.Follow(head.Ledger); !sameEpoch || known.Floor.IsZero() || r.floor.Sub(known.Floor) > FeedTTL/2 {
		cursor.Begin(r.floor)
		batch.Missed = true
		return batch, nil
	}
	r.indexes = s.feedIndexes(known.Floor)
	if err := r.run(ctx); err != nil {
		return ownership.FeedBatch{}, fmt.Errorf("read the change feed: %w", err)
	}
	return batch, nil
}

const (
	// worthCounting is how many entries it takes until counting them, which is
	// one read for each 1,000, is cheaper than to read them again.
	worthCounting = 3
	// worthParting is how many it takes until looking for the part of them in
	// which one is missing is better than to read them all.
	worthParting = 100
	// countedParts is into how many parts they are cut then.
	countedParts = 8
	// feedLag is for how long an entry is read again rather than counted: most
	// commits take less, and most listeners tell sooner.
	feedLag = 500 * time.Millisecond
	// feedPage is how many entries are told at once.
	feedPage = 100
)

// feedRead is one read of the feed.
type feedRead struct {
	store   *Store
	cursor  *ownership.FeedCursor
	known   ownership.FeedView
	at      time.Time // as of which it reads
	floor   time.Time // no entry from before it can be committed after at
	indexes []feedIndex
	counted atomic.Bool // all entries from before the tail have been told
}

// run tells of what was committed by at: of the feed's tail by reading it, of
// what is before that by counting.
func (r *feedRead) run(ctx context.Context) error {
	tail := r.known.ReadTo
	if heard := r.at.Add(-feedLag).Truncate(ownership.Slice); r.known.Hears && heard.After(tail) {
		tail = heard
	}
	before := ownership.Span{From: r.known.Floor, Before: tail}
	if r.known.Told(before) < worthCounting {
		tail = r.known.Floor
	}
	work, ctx := errgroup.WithContext(ctx)
	if r.counted.Store(!tail.After(r.known.Floor)); !r.counted.Load() {
		work.Go(func() error {
			err := r.verify(ctx, before)
			r.counted.Store(err == nil)
			return err
		})
	}
	work.Go(func() error { return r.tell(ctx, ownership.Span{From: tail}, r.passed) })
	if err := work.Wait(); err != nil {
		return err
	}
	r.cursor.ReadTo(r.at.Add(-feedLag))
	r.cursor.Advance(r.floor)
	return nil
}

// passed brings the cursor on in the middle of a read: entries come in the order
// of their times, so all from before the last one have been told. (Those of two
// indexes come in two orders.) A reader that is far behind, and is cut short,
// goes on from there.
func (r *feedRead) passed(at time.Time) {
	if len(r.indexes) > 1 {
		return
	}
	r.cursor.ReadTo(at)
	if r.counted.Load() {
		r.cursor.Advance(earlier(at, r.floor))
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// verify makes sure that all entries of a span have been told. If their number is
// not that of those which were told, it looks for the part in which they differ.
func (r *feedRead) verify(ctx context.Context, span ownership.Span) error {
	told := r.known.Told(span)
	n, err := r.count(ctx, span)
	if err != nil || n == int64(told) {
		return err
	}
	parts := r.known.Parts(span, countedParts)
	if told < worthParting || len(parts) < 2 {
		return r.tell(ctx, span, func(time.Time) {})
	}
	work, ctx := errgroup.WithContext(ctx)
	for _, part := range parts {
		work.Go(func() error { return r.verify(ctx, part) })
	}
	return work.Wait()
}

// count is how many entries a span has.
func (r *feedRead) count(ctx context.Context, span ownership.Span) (sum int64, err error) {
	for _, x := range r.indexes {
		q := x.query(span)
		q.At = r.at
		n, err := r.store.count(ctx, q)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// tell reads a span and tells of its entries, page by page: what was told stays
// told if the read fails. After each page passed is called with the time of its
// last entry.
func (r *feedRead) tell(ctx context.Context, span ownership.Span, passed func(time.Time)) error {
	for _, x := range r.indexes {
		q := x.query(span)
		q.Select, q.At = feedFields, r.at
		var page []ownership.FeedEntry
		read, last := 0, time.Time{}
		turn := func() {
			r.cursor.Tell(page...)
			if page = nil; read > 0 {
				passed(last)
			}
		}
		err := r.store.query(ctx, q, func(d *docdb.Document) error {
			page = append(page, r.store.feedEntry(ctx, d, r.cursor)...)
			last = feedTime(d)
			if read++; read%feedPage == 0 {
				turn()
			}
			return nil
		})
		if turn(); err != nil {
			return err
		}
	}
	return nil
}
