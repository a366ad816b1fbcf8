package storetest

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// Fragile is a store that answers no reads while Down is set.
type Fragile struct {
	Store
	Down atomic.Bool
}

// Read implements ownership.Store.
func (s *Fragile) Read(ctx context.Context, r []registry.Resource) (ownership.Snapshot, error) {
	if s.Down.Load() {
		return ownership.Snapshot{}, registry.ErrUnavailable
	}
	return s.Store.Read(ctx, r)
}

// Changes implements ownership.Feed.
func (s *Fragile) Changes(ctx context.Context, cursor *ownership.FeedCursor) (ownership.FeedBatch, error) {
	if s.Down.Load() {
		return ownership.FeedBatch{}, registry.ErrUnavailable
	}
	return s.Store.Changes(ctx, cursor)
}

// MoveTenant moves everything that a tenant owns, with a time that comes after
// everything claimed so far.
func MoveTenant(t *testing.T, s Store, from, to string) {
	t.Helper()
	outcomes := s.Apply(t.Context(), []ownership.Change{{Entry: ownership.Entry{
		Type: ownership.Moved, From: from, To: to,
		Version: ownership.Version{Time: time.Now().Add(time.Minute), Source: "//test", ID: from + " to " + to},
	}}})
	require.Equal(t, ownership.Applied, outcomes[0].Kind, outcomes[0].Detail)
}
