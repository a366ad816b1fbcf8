//go:build proofs

package python

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

var (
	manyStreams = flag.Int("many.streams", 10_000, "how many streams one uvicorn process holds open")
	manyMoved   = flag.Int("many.moved", 1_000, "how many of them a move ends")
	manyQuiet   = flag.Duration("many.quiet", 20*time.Second, "how long the quiet cost is measured")
)

// TestProofThatManyStreamsEndTogether opens 10,000 streams of one uvicorn process,
// under a few watches, and moves a tenant that has 1,000 of them. It prints how long
// the last one went on, and what the process costs, beside one that asks again for
// each stream: as many, every 2 s, if it could; a Python process makes fewer than a
// thousand checks a second, so each waits for its turn. And a tenth as many, which it
// does ask every 2 s.
func TestProofThatManyStreamsEndTogether(t *testing.T) {
	for _, c := range []struct {
		mode           string
		streams, moved int
	}{
		{"guard", *manyStreams, *manyMoved},
		{"poll", *manyStreams, *manyMoved},
		{"poll", *manyStreams / 10, *manyMoved / 10},
	} {
		t.Run(fmt.Sprint(c.mode, " ", c.streams), func(t *testing.T) {
			m := openMany(t, c.mode, c.streams, c.moved)
			quiet := m.cost()
			time.Sleep(*manyQuiet)
			m.log("quiet", quiet)

			busy, began := m.cost(), time.Now()
			m.x.apply(ownership.Change{Entry: ownership.Entry{Type: ownership.Moved, From: "t_moved", To: "t_other", Version: m.x.version()}})
			acked := time.Now()
			for m.ended.Load() < int64(c.moved) {
				if c.mode == "poll" && time.Since(acked) > 2*time.Minute { // what is compared with promises nothing
					t.Logf("poll: only %d of %d streams have ended 2m after the move was acknowledged", m.ended.Load(), c.moved)
					return
				}
				require.Less(t, time.Since(acked), 2*time.Minute, "%d of %d have ended", m.ended.Load(), c.moved)
				time.Sleep(time.Millisecond)
			}
			t.Logf("%s: the last of %d streams ended %v after the move was sent, %v after it was acknowledged",
				c.mode, c.moved, time.Since(began).Round(time.Millisecond), time.Since(acked).Round(time.Millisecond))
			m.log("the move", busy)
			require.EqualValues(t, c.moved, m.ended.Load(), "no other has")
		})
	}
}

// many is one transport with many streams open.
type many struct {
	*testing.T
	x     *installed
	mode  string
	moved int          // streams of t_moved
	ended atomic.Int64 // with the reason
}

func openMany(t *testing.T, mode string, streams, moved int) *many {
	emulatortest.Python(t, needs)
	x := newInstalled(t)
	m := &many{T: t, x: x, mode: mode, moved: moved}
	var changes []ownership.Change
	for i := range streams {
		changes = append(changes, ownership.Change{
			Resource: registry.Resource{Kind: registry.Thread, ID: fmt.Sprint("th_", i)},
			Entry:    ownership.Entry{Type: ownership.Created, Tenant: m.tenant(i), Version: x.version()},
		})
	}
	for len(changes) > 0 {
		n := min(500, len(changes))
		for _, o := range x.writer.Apply(t.Context(), changes[:n]) {
			require.NotEqual(t, ownership.Failed, o.Kind)
		}
		changes = changes[n:]
	}
	x.start(x.registry, "tests/many_transport.py", mode)

	began := time.Now()
	var opening sync.WaitGroup
	turns := make(chan struct{}, 200)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for i := range streams {
		turns <- struct{}{}
		opening.Go(func() {
			defer func() { <-turns }()
			m.open(client, i)
		})
	}
	opening.Wait()
	t.Logf("%s: %d streams were opened in %v", mode, streams, time.Since(began).Round(time.Millisecond))
	return m
}

func (m *many) tenant(i int) string {
	if i < m.moved {
		return "t_moved"
	}
	return "t_stays"
}

func (m *many) open(client *http.Client, i int) {
	r, err := http.NewRequestWithContext(m.Context(), http.MethodGet, fmt.Sprintf("%s/th_%d", m.x.url, i), nil)
	if err != nil {
		m.Error(err)
		return
	}
	r.Header.Set("X-Tenant", m.tenant(i))
	answer, err := client.Do(r)
	if err != nil {
		m.Errorf("th_%d: %v", i, err)
		return
	}
	if answer.StatusCode != http.StatusOK {
		m.Errorf("th_%d: %s", i, answer.Status)
		_ = answer.Body.Close()
		return
	}
	go func() {
		defer answer.Body.Close()
		rest, _ := io.ReadAll(answer.Body)
		if bytes.Contains(rest, []byte("ownership_lost")) {
			m.ended.Add(1)
		}
	}()
}

// cost is what the transport and the registry have used by now, and the checks that
// were asked.
type cost struct {
	at                  time.Time
	transport, registry time.Duration // of CPU
	checks              float64
}

func (m *many) cost() cost {
	return cost{time.Now(), cpu(m.T, m.x.transport.PID()), cpu(m.T, m.x.serve.PID()), m.checks()}
}

// checks is how many the registry has answered.
func (m *many) checks() (n float64) {
	answer, err := http.Get(m.x.registry + "/metrics")
	require.NoError(m, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(m, err)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "http_server_request_duration_seconds_count{") && strings.Contains(line, "/access") {
			one, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64)
			require.NoError(m, err)
			n += one
		}
	}
	return n
}

func (m *many) log(what string, since cost) {
	c := m.cost()
	took := c.at.Sub(since.at)
	m.Logf("%s: %s, %v: the transport used %v of CPU (%.1f %% of a core) and has %d MB, the registry %v and %d MB; %.0f checks a second",
		m.mode, what, took.Round(time.Millisecond), c.transport-since.transport,
		100*(c.transport-since.transport).Seconds()/took.Seconds(), rss(m.T, m.x.transport.PID())>>20,
		c.registry-since.registry, rss(m.T, m.x.serve.PID())>>20, (c.checks-since.checks)/took.Seconds())
}

// cpu is the user and system time of a process, by ticks of 10 ms.
func cpu(t *testing.T, pid int) time.Duration {
	fields := stat(t, pid)
	user, err := strconv.Atoi(fields[11])
	require.NoError(t, err)
	system, err := strconv.Atoi(fields[12])
	require.NoError(t, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}

func rss(t *testing.T, pid int) int {
	pages, err := strconv.Atoi(stat(t, pid)[21])
	require.NoError(t, err)
	return pages * os.Getpagesize()
}

// stat is /proc/PID/stat behind the command's name: its first field is the state.
func stat(t *testing.T, pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	return strings.Fields(string(text)[strings.LastIndexByte(string(text), ')')+1:])
}
