package console_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/browser"
	"github.com/northstar-engines/realtime-registry/internal/console"
	"github.com/northstar-engines/realtime-registry/internal/problem"
	"github.com/northstar-engines/realtime-registry/registry"
)

// hostile is what a publisher may put where it may put text.
const hostile = `<img src=x onerror="window.ran=1"><script>window.ran=1</script>'"&amp;` + "\u202egnorw\u200b\x1b[31m\n"

// site is a console behind a token, at an address that stays when it is started anew.
type site struct {
	t       *testing.T
	address string
	token   atomic.Value // string; "": none is demanded
	server  *http.Server
	handler http.Handler
	asked   atomic.Int64 // streams that are open
}

func newSite(t *testing.T, o console.Options) *site {
	t.Helper()
	c, err := console.New(o)
	require.NoError(t, err)
	s := &site{t: t}
	s.token.Store("")
	mux := http.NewServeMux()
	for _, r := range c.Routes() {
		mux.HandleFunc("GET "+r.Pattern, func(w http.ResponseWriter, request *http.Request) {
			if token := s.token.Load().(string); !r.Open && token != "" && request.Header.Get("Authorization") != "Bearer "+token {
				problem.New(http.StatusUnauthorized, "the bearer token is missing").Write(w)
				return
			}
			if r.Streams {
				s.asked.Add(1)
				defer s.asked.Add(-1)
			}
			r.Serve(w, request)
		})
	}
	s.handler, s.address = mux, "127.0.0.1:0"
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *site) start() {
	s.t.Helper()
	var listener net.Listener
	require.Eventually(s.t, func() (free bool) {
		var err error
		listener, err = net.Listen("tcp", s.address)
		return err == nil
	}, soon, 10*time.Millisecond)
	s.address = listener.Addr().String()
	s.server = &http.Server{Handler: s.handler}
	go func() { _ = s.server.Serve(listener) }()
}

func (s *site) stop() { _ = s.server.Close() }

func (s *site) url(place string) string { return "http://" + s.address + "/console" + place }

// strange is a registry in which every text is hostile.
func strange() *looks {
	long := strings.Repeat("W", 5000)
	return &looks{
		inspect: func(r registry.Resource) (any, error) {
			if r.Kind == registry.Canvas {
				return map[string]any{"kind": r.Kind, "id": r.ID, "owner": ""}, nil
			}
			return map[string]any{
				"kind": r.Kind, "id": r.ID, "owner": "t_acme", "position": 1, "read_time": "2026-01-01T00:00:00Z",
				"steps": []any{
					map[string]any{"event": "created", "time": "2026-01-01T00:00:00Z", "tenant": "t_acme", "effect": true, "owner": "t_acme", "event_id": hostile, "source": hostile},
					map[string]any{"event": "moved", "time": "2026-01-02T00:00:00Z", "from": "t_acme", "to": "t_b", "effect": false, "owner": "t_acme", "event_id": long, "source": long, "reason": hostile, "actor": long},
				},
				"displaced": []any{map[string]any{"event": "created", "time": "2026-01-01T00:00:00Z", "tenant": "t_c", "event_id": hostile, "source": hostile}},
				"document":  map[string]any{"tenant_id": hostile, "update_time": hostile, "stale": true, "plain_set_last": true},
			}, nil
		},
		letters: func() (any, error) {
			return map[string]any{"subscription": "dead", "at": "2026-01-01T00:00:00Z", "more": true, "letters": []any{
				map[string]any{"reason": hostile, "detail": hostile, "event_id": hostile, "message_id": "1", "subscription": hostile, "refused_at": "2026-01-01T00:00:00Z"},
				map[string]any{"reason": "schema", "detail": long, "event_id": long, "message_id": "2", "subscription": long, "refused_at": "2026-01-01T00:00:00Z"},
			}}, nil
		},
	}
}

// focused is what has the focus, in words.
const focused = `((e) => e.id || e.textContent.trim() || e.tagName)(document.activeElement)`

// A person with a keyboard alone comes everywhere; what strangers have written is
// text; and the page is as wide as the window.
func TestThePageInABrowser(t *testing.T) {
	process := newProcess("a")
	applied := process.events.WithLabelValues("nexus.thread.created.v1", "applied", "")
	process.events.WithLabelValues("unknown", "refused", "malformed").Add(1)
	look := strange()
	s := newSite(t, console.Options{Name: "API and worker", Target: "project " + hostile, Version: "v1", Look: look, Gatherer: process, Every: 50 * time.Millisecond})
	page := browser.Show(t, s.url(""))
	shows := func(text string) {
		t.Helper()
		page.Until("document.body.innerText.includes(arguments[0])", soon, text)
	}
	shows("live, every")
	shows("applied")

	t.Run("numbers are live until they are paused", func(t *testing.T) {
		applied.Add(41)
		shows("41")
		page.Press("p")
		page.Until("document.getElementById('state').textContent === 'paused'", soon)
		require.Eventually(t, func() bool { return s.asked.Load() == 0 }, soon, 10*time.Millisecond, "a page that is paused has no stream")
		applied.Add(958)
		var text string
		page.Run(&text, "return document.querySelector('main').innerText")
		require.NotContains(t, text, "999")
		page.Press("p")
		shows("999")
	})

	t.Run("a keyboard is enough", func(t *testing.T) {
		page.Run(nil, "document.activeElement.blur()")
		page.Press(browser.Tab)
		page.Until(focused+" === 'skip'", soon)
		page.Press("/", "th_1", browser.Enter)
		shows("thread th_1")
		shows("canvas th_1")
		page.Until(focused+" === 'main' && location.hash === '#/id/th_1'", soon)
		page.Press("/", browser.Backspace, "t_acme", browser.Enter)
		shows("Tenant t_acme")
		shows("windows are away")
		page.Press("d")
		shows("Look now")
		page.Press(browser.Tab, browser.Enter)
		shows("2 looked at, and there are more")
		page.Press(browser.Tab, browser.Enter)
		page.Until("location.hash.startsWith('#/dead-letters/')", soon)
		page.Press("m")
		shows("No move of a whole tenant")
		page.Press("o")
		shows("Events")
	})

	t.Run("a link that was sent leads to what it names", func(t *testing.T) {
		for place, text := range map[string]string{
			"#/thread/th_1": "thread th_1", "#/canvas/cv_1": "canvas cv_1", "#/tenant/t_acme": "Tenant t_acme", "#/moves": "No move of a whole tenant",
			"#/moves/%2F%2Foperator/friday%2Fnight": "friday/night", "#/dead-letters": "Look now",
		} {
			page.Go(s.url(place))
			page.Run(nil, "location.reload()")
			shows(text)
			page.Until("location.hash === arguments[0]", soon, place)
		}
		page.Go(s.url("#/"))
	})

	t.Run("nothing that strangers write runs, or breaks the layout", func(t *testing.T) {
		for _, width := range []int{1400, 420} {
			page.As(browser.Look{Width: width, Height: 900, Dark: width == 420})
			for _, place := range []string{"#/", "#/thread/th_1", "#/dead-letters", "#/dead-letters/schema", "#/" + hostile, "#/id/%E0%A4%A"} {
				page.Run(nil, "location.hash = arguments[0]", place)
				page.Until("document.querySelector('main .panel') && !document.body.innerText.includes('looking …')", soon)
				var over int
				page.Run(&over, "return document.documentElement.scrollWidth - window.innerWidth")
				require.LessOrEqual(t, over, 0, "at %d pixels %s is wider than the window", width, place)
			}
		}
		page.Run(nil, "location.hash = '#/thread/th_1'")
		shows(`<img src=x onerror="window.ran=1">`)
		shows(`\u{202e}gnorw\u{200b}\u{1b}[31m`)
		var strange struct{ Ran, Images int }
		page.Run(&strange, "return {ran: window.ran ?? 0, images: document.querySelectorAll('img, main script, iframe').length}")
		require.Zero(t, strange, "the only scripts are ours")
		var html string
		page.Run(&html, "try { document.body.innerHTML = '<b>'; return 'taken' } catch (e) { return e.name }")
		require.Equal(t, "TypeError", html, "the browser itself lets no text become HTML")
	})

	t.Run("dark and light differ", func(t *testing.T) {
		color := func(dark bool) (c string) {
			page.As(browser.Look{Width: 1000, Height: 800, Dark: dark})
			page.Run(&c, "return getComputedStyle(document.body).backgroundColor")
			return c
		}
		require.NotEqual(t, color(true), color(false))
	})

	t.Run("it comes back after a restart", func(t *testing.T) {
		page.Press("o")
		s.stop()
		shows("no connection since")
		page.Until("document.querySelector('main').classList.contains('stale')", soon)
		s.start()
		page.Until("document.getElementById('state').className === 'live' && !document.querySelector('main').classList.contains('stale')", soon)
	})

	t.Run("with a token it asks for it", func(t *testing.T) {
		s.token.Store("0123456789abcdef")
		s.stop()
		s.start()
		shows("A token is needed")
		page.Until(focused+" === 'token'", soon)
		page.Press("wrong-token-0000", browser.Enter)
		shows("The token is not the one for this server.")
		page.Press("0123456789abcdef", browser.Enter)
		page.Until("document.getElementById('state').className === 'live'", soon)
		page.Run(nil, "location.reload()")
		page.Until("document.getElementById('state')?.className === 'live'", soon)
		var kept struct {
			Cookies, Local string
			Tab            int
		}
		page.Run(&kept, "return {cookies: document.cookie, local: JSON.stringify(localStorage), tab: sessionStorage.length}")
		require.Equal(t, "", kept.Cookies)
		require.Equal(t, "{}", kept.Local)
		require.Equal(t, 1, kept.Tab)
		page.Run(nil, "document.getElementById('forget').click()")
		shows("A token is needed")
	})

	t.Run("what cannot be read says why", func(t *testing.T) {
		s.token.Store("")
		look.err = fmt.Errorf("%w: firestore is away", registry.ErrUnavailable)
		look.inspect = func(registry.Resource) (any, error) { return nil, errors.New(hostile) }
		page.Go(s.url("#/moves"))
		page.Run(nil, "location.reload()")
		shows("firestore is away")
		page.Run(nil, "location.hash = '#/thread/th_1'")
		shows(`\u{202e}gnorw`)
	})
}
