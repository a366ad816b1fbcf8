package examples

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/internal/browser"
)

const own, foreign = "/threads/th_own/events", "/threads/th_foreign/events"

// visited is a page of real FastAPI, uvicorn and Chromium, before a registry that
// runs, at the other end of a link.
type visited struct {
	*browser.Page
	installation
	link *wire.Link
}

// inChromium opens both streams as t_acme, with everything as the example has it. If
// the registry is away at first the page sees that.
func inChromium(t *testing.T, away bool) visited {
	t.Helper()
	i := install(t)
	require.Equal(t, http.StatusCreated, i.ask(http.MethodPut, "t_acme", "/v1/threads/th_own"))
	require.Equal(t, http.StatusCreated, i.ask(http.MethodPut, "t_umbrella", "/v1/threads/th_foreign"))
	link, err := wire.NewLink(i.url[len("http://"):])
	require.NoError(t, err)
	t.Cleanup(func() { _ = link.Close() })
	if away {
		link.Refuse()
	}
	transport := app(t, append(i.env, "REGISTRY_URL=http://"+link.Addr())...)
	page := browser.Open(t, browser.Serve(t, transport, http.Header{"X-Authenticated-Tenant": {"t_acme"}}), own, foreign)
	t.Cleanup(func() { t.Logf("what the page saw:\n%s", page) })
	return visited{page, i, link}
}

// moveAway takes everything from t_acme, and returns when that was published.
func (v visited) moveAway() time.Time {
	v.t.Helper()
	moved := event("gone", "tenant.moved", time.Now().UTC().Format(time.RFC3339Nano), `{"from_tenant_id":"t_acme","to_tenant_id":"t_globex"}`)
	v.worker("publish", write(v.t, moved))
	return time.Now()
}

// A page that is opened in an outage, and is never loaded again: when the registry is
// back its own stream begins, and the foreign one is refused for good. Then its
// tenant loses the thread.
func TestAPageOfFastAPIOutlivesAnOutageAndIsToldOfALoss(t *testing.T) {
	t.Parallel()
	page := inChromium(t, true)
	for _, stream := range []string{own, foreign} {
		page.Await(stream, "open", soon)
		page.Await(stream, "registry.closed registry_unavailable", soon)
		page.Await(stream, "error, comes back", soon)
	}
	page.link.Restore()
	page.Await(own, "message th_own: message 1", soon)
	page.Await(foreign, "error, gave up", soon)

	page.moveAway()
	page.Await(own, "registry.closed ownership_lost", soon)
	page.Await(own, "error, comes back", soon)
	page.Await(own, "error, gave up", soon)
}
