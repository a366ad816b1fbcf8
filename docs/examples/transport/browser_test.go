package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/browser"
	"github.com/northstar-engines/realtime-registry/internal/storetest"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

const own, foreign = "/threads/th_own/events", "/threads/th_foreign/events"

// inChromium opens both streams as t_acme, with everything as the example has it.
func inChromium(t *testing.T, store *storetest.Fragile) *browser.Page {
	t.Helper()
	require.NoError(t, registry.New(store).RegisterThread(t.Context(), "t_acme", "th_own"))
	require.NoError(t, registry.New(store).RegisterThread(t.Context(), "t_umbrella", "th_foreign"))
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
	store := &storetest.Fragile{Store: memregistry.New()}
	store.Down.Store(true)
	page := inChromium(t, store)
	for _, stream := range []string{own, foreign} {
		page.Await(stream, "open", soon)
		page.Await(stream, "registry.closed registry_unavailable", soon)
		page.Await(stream, "error, comes back", soon)
	}
	store.Down.Store(false)
	page.Await(own, "message th_own: message 1", soon)
	page.Await(foreign, "error, gave up", soon)

	storetest.MoveTenant(t, store, "t_acme", "t_globex")
	page.Await(own, "registry.closed ownership_lost", soon)
	page.Await(own, "error, comes back", soon)
	page.Await(own, "error, gave up", soon)
}
