package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/browser"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// failing is a store that does not answer while it is down.
type failing struct {
	*memregistry.Store
	down atomic.Bool
}

func (s *failing) Read(ctx context.Context, r []registry.Resource) (ownership.Snapshot, error) {
	if s.down.Load() {
		return ownership.Snapshot{}, registry.ErrUnavailable
	}
	return s.Store.Read(ctx, r)
}

func (s *failing) Changes(ctx context.Context, cursor *ownership.FeedCursor) (ownership.FeedBatch, error) {
	if s.down.Load() {
		return ownership.FeedBatch{}, registry.ErrUnavailable
	}
	return s.Store.Changes(ctx, cursor)
}

func (s *failing) moveAway(t *testing.T) {
	t.Helper()
	outcomes := s.Apply(t.Context(), []ownership.Change{{Entry: ownership.Entry{
		Type: ownership.Moved, From: "t_acme", To: "t_globex",
		Version: ownership.Version{Time: time.Now().Add(time.Minute), Source: "nexus", ID: "1"},
	}}})
	require.Equal(t, ownership.Applied, outcomes[0].Kind)
}

const own, foreign = "/threads/th_own/events", "/threads/th_foreign/events"

// inChromium opens both streams as t_acme, with everything as the example has it.
func inChromium(t *testing.T, store *failing) *browser.Page {
	t.Helper()
	require.NoError(t, registry.New(store.Store).RegisterThread(t.Context(), "t_acme", "th_own"))
	require.NoError(t, registry.New(store.Store).RegisterThread(t.Context(), "t_umbrella", "th_foreign"))
	handler, err := transport(store, verifier.Options{MaxStaleness: 2 * time.Second}, clock)
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	page := browser.Open(t, browser.Serve(t, server.URL, http.Header{"X-Authenticated-Tenant": {"t_acme"}}), own, foreign)
	t.Cleanup(func() { t.Logf("what the page saw:\n%s", page) })
	return page
}

// A page that is opened in an outage, and is never loaded again: when the store is
// back its own stream begins, and the foreign one is refused for good. Then its
// tenant loses the thread.
func TestAPageOutlivesAnOutageAndIsToldOfALoss(t *testing.T) {
	t.Parallel()
	store := &failing{Store: memregistry.New()}
	store.down.Store(true)
	page := inChromium(t, store)
	for _, stream := range []string{own, foreign} {
		page.Await(stream, "open", soon)
		page.Await(stream, "registry.closed registry_unavailable", soon)
		page.Await(stream, "error, comes back", soon)
	}
	store.down.Store(false)
	page.Await(own, "message th_own: message 1", soon)
	page.Await(foreign, "error, gave up", soon)

	store.moveAway(t)
	page.Await(own, "registry.closed ownership_lost", soon)
	page.Await(own, "error, comes back", soon)
	page.Await(own, "error, gave up", soon)
}
