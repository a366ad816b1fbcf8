// Package browser opens pages in a real Chromium, headless, so that tests see what
// people see of a stream. It is for transports in any language:
//
//	site := browser.Serve(t, transportURL, http.Header{"X-Authenticated-Tenant": {"t_acme"}})
//	page := browser.Open(t, site, "/threads/th_1/events")
//	page.Await("/threads/th_1/events", "open", time.Minute)
//	moveAway()
//	page.Await("/threads/th_1/events", "registry.closed ownership_lost", time.Minute)
//	page.Await("/threads/th_1/events", "error, gave up", time.Minute)
//	t.Log(page) // everything that the page saw, in seconds since it was opened
//
// The page has one EventSource for each path, and nothing else: no helper, no
// reload. It is of one origin with the transport, which lies behind a proxy that
// adds the headers, as what authenticates would do. What it sees of each:
//
//	open                      the answer is 200 and an event stream
//	message TEXT              an event without a name
//	registry.closed REASON    the last event of a stream that the registry ends
//	error, comes back         the stream has ended; the browser will connect again (readyState 0)
//	error, gave up            it never will: the answer was no event stream (readyState 2)
//
// It needs Debian's chromium and chromium-driver, which always fit each other
// (`make browser` installs them); the driver speaks WebDriver, which needs no
// library. Without them the test is skipped by name, and fails with CI=true. Each
// page is a browser of its own, some 200 MB, and ends with the test: open few, and
// give one several paths.
package browser

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// every is how often a page is asked what it has seen.
const every = 100 * time.Millisecond

// Page is a page with its streams.
type Page struct {
	t    testing.TB
	tab  tab
	seen []Sight
	told map[string]int // by path, how much of seen Await has gone through
}

// Sight is one thing that the page saw.
type Sight struct {
	At   time.Duration // since the page was opened, by the browser's clock
	Path string
	What string
}

// UnmarshalJSON reads what page.html keeps: milliseconds, path, what.
func (s *Sight) UnmarshalJSON(text []byte) error {
	var ms float64
	err := json.Unmarshal(text, &[]any{&ms, &s.Path, &s.What})
	s.At = time.Duration(ms * float64(time.Millisecond))
	return err
}

func (s Sight) String() string { return fmt.Sprintf("%6.1f s  %s  %s", s.At.Seconds(), s.Path, s.What) }

// Open opens a page of the site with an EventSource for each path.
func Open(t testing.TB, site string, paths ...string) *Page {
	t.Helper()
	return OpenURL(t, site+pagePath+"?"+url.Values{"path": paths}.Encode())
}

// OpenURL opens a page of the test's own, which keeps what it sees in window.seen, as
// page.html does: an array of [milliseconds since it was opened, path, what].
func OpenURL(t testing.TB, address string) *Page {
	t.Helper()
	p := &Page{t: t, tab: start(t), told: map[string]int{}}
	p.tab.call(t, "POST", "/url", map[string]any{"url": address}, nil)
	return p
}

// Await returns the first sight of a path, behind the last one that was awaited of
// it, whose text begins so. The test fails if there is none within that time.
func (p *Page) Await(path, what string, within time.Duration) Sight {
	p.t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(every) {
		for _, s := range p.Seen()[p.told[path]:] {
			p.told[path]++
			if s.Path == path && strings.HasPrefix(s.What, what) {
				return s
			}
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("the page did not see %q of %s within %v. It saw:\n%s", what, path, within, p)
		}
	}
}

// Seen is everything that the page has seen by now, in its order.
func (p *Page) Seen() []Sight {
	p.t.Helper()
	var more []Sight
	p.tab.call(p.t, "POST", "/execute/sync", map[string]any{"script": "return (window.seen ?? []).slice(arguments[0])", "args": []any{len(p.seen)}}, &more)
	p.seen = append(p.seen, more...)
	return p.seen
}

// String is what Seen has returned, a line each, runs of messages shortened.
func (p *Page) String() string {
	var text strings.Builder
	for i, s := range p.seen {
		if p.isMessage(i-1) && p.isMessage(i) && p.isMessage(i+1) {
			continue
		}
		fmt.Fprintln(&text, s)
	}
	return text.String()
}

func (p *Page) isMessage(i int) bool {
	return i >= 0 && i < len(p.seen) && strings.HasPrefix(p.seen[i].What, "message ")
}
