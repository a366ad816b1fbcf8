package verifier_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// S is the bound of these tests.
const S = 2 * time.Second

// feedStore is a gated store whose feed can be held up, and listens only if
// it is told to.
type feedStore struct {
	*gatedStore
	listen bool

	mu    sync.Mutex
	feed  func(context.Context) error                   // before a read of the feed
	alter func(ownership.FeedBatch) ownership.FeedBatch // after it
	slow  time.Duration                                 // how long the answer takes to arrive
	asked int

	missing int // how many of the next batches tell nothing but that entries are missing
}

func newFeedStore() *feedStore { return &feedStore{gatedStore: newGatedStore(nil)} }

func (s *feedStore) set(feed func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.feed = feed
}

func (s *feedStore) Changes(ctx context.Context, cursor *ownership.FeedCursor) (ownership.FeedBatch, error) {
	s.mu.Lock()
	s.asked++
	feed, alter, slow := s.feed, s.alter, s.slow
	silent := s.missing > 0
	s.missing = max(0, s.missing-1)
	s.mu.Unlock()
	if feed != nil {
		if err := feed(ctx); err != nil {
			return ownership.FeedBatch{}, err
		}
	}
	reader := cursor
	if silent {
		reader = ownership.NewFeedCursor(nil) // begins, and tells nothing
	}
	batch, err := s.Store.Changes(ctx, reader)
	if silent && err == nil {
		cursor.Begin(batch.At.Add(ownership.Slice)) // nor later
	}
	select {
	case <-time.After(slow):
	case <-ctx.Done():
		return ownership.FeedBatch{}, ctx.Err()
	}
	if err == nil && alter != nil {
		batch = alter(batch)
	}
	return batch, err
}

func (s *feedStore) Listen(ctx context.Context, cursor *ownership.FeedCursor, heard func(int64)) error {
	if s.listen {
		return s.Store.Listen(ctx, cursor, heard)
	}
	<-ctx.Done()
	return ctx.Err()
}

func (s *feedStore) feedReads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func hungFeed(ctx context.Context) error { return hung(ctx, nil) }

func failingFeed(context.Context) error {
	return fmt.Errorf("feed: %w", registry.ErrUnavailable)
}

// keeping is a verifier that keeps answers and has certified them once. Its
// bubble is the caller's.
func keeping(t *testing.T, store ownership.Store, options verifier.Options) *verifier.Verifier {
	t.Helper()
	if options.MaxStaleness == 0 {
		options.MaxStaleness = S
	}
	if options.MaxAge == 0 {
		options.MaxAge = verifier.Unbounded
	}
	v := newVerifier(t, store, options)
	synctest.Wait()
	return v
}

// moveAt is move, at a time, with an id.
func moveAt(t testing.TB, store ownership.Store, at time.Time, id, from, to string, resource registry.Resource) {
	t.Helper()
	outcome := store.Apply(t.Context(), []ownership.Change{{Resource: resource, Entry: ownership.Entry{
		Type: ownership.Moved, From: from, To: to, Version: ownership.Version{Time: at, Source: "test", ID: id},
	}}})[0]
	require.NoError(t, outcome.Err)
}

func createAt(t testing.TB, store ownership.Store, at time.Time, id, tenant string, resource registry.Resource) {
	t.Helper()
	outcome := store.Apply(t.Context(), []ownership.Change{{Resource: resource, Entry: ownership.Entry{
		Type: ownership.Created, Tenant: tenant, Version: ownership.Version{Time: at, Source: "test", ID: id},
	}}})[0]
	require.NoError(t, outcome.Err)
}

func allowed(t testing.TB, v *verifier.Verifier, tenant, id string, why ...any) {
	t.Helper()
	require.NoError(t, v.VerifyThreadAccess(t.Context(), tenant, id), why...)
}

func refused(t testing.TB, v *verifier.Verifier, tenant, id string, why ...any) {
	t.Helper()
	require.ErrorIs(t, v.VerifyThreadAccess(t.Context(), tenant, id), registry.ErrNotFound, why...)
}

// bubble runs a test in a bubble with a fresh store.
func bubble(t *testing.T, test func(*testing.T, *feedStore)) {
	synctest.Test(t, func(t *testing.T) { test(t, newFeedStore()) })
}
