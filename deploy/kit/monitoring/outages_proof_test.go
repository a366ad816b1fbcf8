//go:build proofs

package monitoring

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/wire"
)

// What docs/operations.md says of outages, and when: what does not change, what
// changes, and what the log says.
func TestProofOutagesAreToldWhereTheTableSays(t *testing.T) {
	const ok, away, yes = http.StatusOK, http.StatusServiceUnavailable, http.StatusNoContent
	t.Run("Firestore", func(t *testing.T) {
		t.Parallel()
		o := newOutage(t)
		o.probe(o.api, "/livez", "/readyz", "/readyz/api", "/readyz?store", known)
		o.worker.end() // so that the other one has the messages
		o.probe(o.both, "/livez", "/readyz", "/readyz/api", "/readyz/worker", known)
		o.during(o.toStore, 45*time.Second)
		o.stays(o.api, "/livez", ok)
		o.stays(o.both, "/livez", ok)
		o.stays(o.api, "/readyz", ok)
		o.stays(o.api, "/readyz/api", ok)
		o.stays(o.both, "/readyz/api", ok)
		o.becomes(o.api, "/readyz?store", away, 0, 10*time.Second)
		o.becomes(o.api, known, away, 0, 10*time.Second)
		o.becomes(o.both, "/readyz/worker", away, 20*time.Second, 45*time.Second)
		o.becomes(o.both, "/readyz", away, 20*time.Second, 45*time.Second)
		o.says(o.api, "WARN", "the change feed cannot be read")
		o.says(o.api, "ERROR", "request failed")
		o.ends(o.toStore)
	})
	t.Run("Pub/Sub", func(t *testing.T) {
		t.Parallel()
		o := newOutage(t)
		o.probe(o.api, "/livez", "/readyz", "/readyz?store", known)
		o.probe(o.worker, "/livez", "/readyz", "/readyz/worker")
		o.probe(o.both, "/livez", "/readyz", "/readyz/api", "/readyz/worker", known)
		o.during(o.toPubSub, 45*time.Second)
		for _, path := range []string{"/livez", "/readyz", "/readyz?store"} {
			o.stays(o.api, path, ok)
		}
		o.stays(o.api, known, yes)
		o.stays(o.both, known, yes)
		o.stays(o.both, "/readyz/api", ok)
		o.stays(o.worker, "/livez", ok)
		o.becomes(o.worker, "/readyz/worker", away, 20*time.Second, 45*time.Second)
		o.becomes(o.both, "/readyz/worker", away, 20*time.Second, 45*time.Second)
		o.becomes(o.both, "/readyz", away, 20*time.Second, 45*time.Second)
		o.says(o.worker, "WARN", "no contact with Pub/Sub")
		o.ends(o.toPubSub)
	})
}

// known is a check of what is owned, and in memory.
const known = "/v1/threads/th_0/access"

// outage is an installation of a server, a worker, and a worker that serves, whose
// probes are asked all the while.
type outage struct {
	*installation
	api, worker, both *service

	probes []*probed
}

// probed is what one probe of one process has said.
type probed struct {
	of      *service
	path    string
	began   int // what it said before the fault
	changes []change
}

type change struct {
	after time.Duration // since the fault
	code  int
}

func newOutage(t *testing.T) *outage {
	i := install(t)
	i.replay(created("0", time.Now(), "t_ada", "th_0"))
	return &outage{installation: i, api: i.start("serve"), worker: i.start("run"), both: i.start("run", "--api")}
}

func (o *outage) probe(s *service, paths ...string) {
	o.t.Helper()
	for _, path := range paths {
		p := &probed{of: s, path: path}
		require.Eventually(o.t, func() bool { p.began = p.ask(); return p.began < 300 }, time.Minute, 50*time.Millisecond, path)
		o.probes = append(o.probes, p)
	}
}

func (p *probed) ask() int { return p.of.ask(http.MethodGet, p.path, "t_ada") }

// during asks all probes while a link refuses everything, with events waiting.
func (o *outage) during(l *wire.Link, length time.Duration) {
	o.t.Helper()
	l.Refuse()
	began := time.Now()
	var events []string
	for n := range 50 { // each worker has some
		events = append(events, created(fmt.Sprint("o", n), time.Now(), "t_ada", fmt.Sprint("th_o", n)))
	}
	o.send(threads, events...)
	for time.Since(began) < length {
		for _, p := range o.probes {
			if code := p.ask(); code != p.last() {
				p.changes = append(p.changes, change{time.Since(began), code})
				o.t.Logf("%5.1f s: %s %s: %d", time.Since(began).Seconds(), strings.Join(p.of.args, " "), p.path, code)
			}
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (p *probed) last() int {
	if len(p.changes) == 0 {
		return p.began
	}
	return p.changes[len(p.changes)-1].code
}

func (o *outage) of(s *service, path string) *probed {
	o.t.Helper()
	for _, p := range o.probes {
		if p.of == s && p.path == path {
			return p
		}
	}
	require.Failf(o.t, "not probed", "%v %s", s.args, path)
	return nil
}

func (o *outage) stays(s *service, path string, code int) {
	o.t.Helper()
	p := o.of(s, path)
	require.Equal(o.t, code, p.began, "%v %s", s.args, path)
	require.Empty(o.t, p.changes, "%v %s", s.args, path)
}

// becomes requires that the probe says this at last, and since when at the earliest
// and the latest.
func (o *outage) becomes(s *service, path string, code int, from, until time.Duration) {
	o.t.Helper()
	p := o.of(s, path)
	require.Equal(o.t, code, p.last(), "%v %s", s.args, path)
	first := p.changes[0].after
	require.GreaterOrEqual(o.t, first, from, "%v %s", s.args, path)
	require.LessOrEqual(o.t, first, until, "%v %s", s.args, path)
}

func (o *outage) says(s *service, level, text string) {
	o.t.Helper()
	line := s.process.AwaitLine(text, time.Second)
	require.Contains(o.t, line, `"level":"`+level+`"`)
	o.t.Logf("%v says: %.200s", s.args, line)
}

// ends restores the link, and waits until all say again what they said before.
func (o *outage) ends(l *wire.Link) {
	o.t.Helper()
	l.Restore()
	began := time.Now()
	for _, p := range o.probes {
		require.Eventually(o.t, func() bool { return p.ask() == p.began }, time.Minute, 100*time.Millisecond, "%v %s", p.of.args, p.path)
	}
	o.t.Logf("all as before, %.1f s after the end", time.Since(began).Seconds())
}
