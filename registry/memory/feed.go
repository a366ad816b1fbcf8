package memory

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
)

// mostChanges is how many feed entries are told at once; who is further behind
// has missed them.
const mostChanges = 20_000

// Changes implements registry.Feed. Commit times grow here, so that batches
// overlap in one moment only: a commit may have the time of the read before it.
func (s *Store) Changes(ctx context.Context, after time.Time) (registry.FeedBatch, error) {
	if err := ctx.Err(); err != nil {
		return registry.FeedBatch{}, fmt.Errorf("read the change feed: %w", unavailable(err))
	}
	if err := s.interrupt(ReadLedger); err != nil {
		return registry.FeedBatch{}, fmt.Errorf("read the change feed: %w", err)
	}
	if err := s.mayRead(); err != nil {
		return registry.FeedBatch{}, fmt.Errorf("read the change feed: %w", err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	batch := registry.FeedBatch{Ledger: s.ledger, At: s.clock(), From: after, Missed: after.IsZero()}
	if batch.Missed {
		return batch, nil
	}
	for i := len(s.feed) - 1; i >= 0 && !s.feed[i].At.Before(after); i-- {
		if len(batch.Entries) == mostChanges {
			batch.Entries, batch.Missed = nil, true
			break
		}
		batch.Entries = append(batch.Entries, s.told(i))
	}
	return batch, nil
}

// Listen implements registry.Feed. It misses nothing.
func (s *Store) Listen(ctx context.Context, tell func(registry.Notice)) error {
	s.mu.RLock()
	next := len(s.feed)
	s.mu.RUnlock()
	for {
		var notice registry.Notice
		s.mu.RLock()
		for ; next < len(s.feed); next++ {
			notice.Entries = append(notice.Entries, s.told(next))
		}
		notice.Seq = s.seq
		news := s.news
		s.mu.RUnlock()
		tell(notice)
		select {
		case <-ctx.Done():
			return fmt.Errorf("listen to the change feed: %w", unavailable(ctx.Err()))
		case <-news:
		}
	}
}

// told is a feed entry as readers get it; its place is its name.
func (d *database) told(i int) registry.FeedEntry {
	return registry.FeedEntry{ID: strconv.Itoa(i), Resource: d.feed[i].Resource, At: d.feed[i].At}
}

// announce wakes listeners. The caller holds the lock.
func (d *database) announce() {
	close(d.news)
	d.news = make(chan struct{})
}
