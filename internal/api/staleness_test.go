package api_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/emulator/wire"
	"github.com/northstar-engines/realtime-registry/internal/api"
)

// stalePatience is how long the client of these tests lets its streams go on while
// it knows nothing. With MaxStaleness it is the bound of docs/verifier.md; there is no
// tick in it, since the client looks at its age before each message.
const stalePatience = 300 * time.Millisecond

const (
	streamingAt = "STREAMING_AT"   // makes the test a client, of a server at that address
	ageOmitted  = "STREAMING_OMIT" // which never looks at its age
)

// TestStreamingChild is no test, but the client process of the tests below: it
// watches th_0 to th_199 of t_ann, and writes a line for each message of a stream,
// with the time at which it found that it may write it.
func TestStreamingChild(t *testing.T) {
	addr := os.Getenv(streamingAt)
	if addr == "" {
		t.Skip("the client process that other tests of this file start: there is nothing to test in it alone")
	}
	c := &streamingClient{open: map[string]bool{}, omit: os.Getenv(ageOmitted) != ""}
	for i := range staleStreams {
		c.open[fmt.Sprintf("th_%d", i)] = true
	}
	go c.connect(t.Context(), addr)
	for out := bufio.NewWriter(os.Stdout); ; time.Sleep(5 * time.Millisecond) {
		c.messages(out)
		_ = out.Flush()
	}
}

const staleStreams = 200

// streamingClient is a client that does what docs/verifier.md says.
type streamingClient struct {
	omit bool

	mu        sync.Mutex
	open      map[string]bool // streams; those that have ended do not come back
	certified time.Time       // what is known is true up to then
	connected bool            // the first state has come
}

func (c *streamingClient) connect(ctx context.Context, addr string) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for ; ; time.Sleep(20 * time.Millisecond) {
		c.mu.Lock()
		var ids, asked []string
		for id, open := range c.open {
			if open {
				ids, asked = append(ids, id), append(asked, "t_ann thread "+id)
			}
		}
		c.mu.Unlock()
		ctx, cancel := context.WithCancel(ctx)
		silent := time.AfterFunc(staleness*2, cancel) // nothing for so long: ask again
		if w, err := openWatch(ctx, client, addr, watchBody(asked...)); err == nil && w.StatusCode == 200 {
			for e := range w.events {
				silent.Reset(staleness * 2)
				c.take(w.sent, ids, e)
			}
		}
		silent.Stop()
		cancel()
	}
}

func (c *streamingClient) take(sent time.Time, ids []string, e event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range append(e.Refused, e.Resources...) {
		c.open[ids[i]] = false
	}
	switch e.name {
	case "state": // a check, of which the age may be MaxStaleness
		c.connected = true
		if known := sent.Add(-staleness); known.After(c.certified) {
			c.certified = known
		}
	case "certified":
		if known := sent.Add(time.Duration(*e.At-*e.Age) * time.Millisecond); known.After(c.certified) {
			c.certified = known
		}
	}
}

// messages writes one for each stream that may go on, and ends all if none may.
func (c *streamingClient) messages(out *bufio.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if !c.connected || now.Sub(c.certified) > staleness+stalePatience && !c.omit {
		return
	}
	for id, open := range c.open {
		if open {
			fmt.Fprintf(out, "message %s %d\n", id, now.UnixNano())
		}
	}
}

// streaming is a server, a client process behind a link, and when what was lost.
type streaming struct {
	*served
	link   *wire.Link
	client *exec.Cmd

	mu       sync.Mutex
	lost     map[string]time.Time
	latest   map[string]time.Time // message of a stream
	stalest  time.Duration
	tooStale []string
}

func newStreaming(t *testing.T, env ...string) *streaming {
	t.Helper()
	x := &streaming{served: watching(t, api.Options{}), lost: map[string]time.Time{}, latest: map[string]time.Time{}}
	for i := range staleStreams {
		x.own(t, "t_ann", fmt.Sprintf("th_%d", i))
	}
	var err error
	x.link, err = wire.NewLink(x.addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = x.link.Close() })
	x.client = exec.Command(os.Args[0], "-test.run=^TestStreamingChild$")
	x.client.Env = append(os.Environ(), append(env, streamingAt+"="+x.link.Addr())...)
	out, err := x.client.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, x.client.Start())
	var reading sync.WaitGroup
	reading.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			x.message(lines.Text())
		}
	})
	t.Cleanup(func() {
		_ = x.client.Process.Kill()
		reading.Wait()
		_ = x.client.Wait()
	})
	require.Eventually(t, func() bool { return x.messages() == staleStreams }, time.Minute, time.Millisecond)
	return x
}

func (x *streaming) message(line string) {
	var id string
	var nanos int64
	if n, _ := fmt.Sscanf(line, "message %s %d", &id, &nanos); n != 2 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.latest[id] = time.Unix(0, nanos)
	lost, is := x.lost[id]
	if !is {
		return
	}
	stale := x.latest[id].Sub(lost)
	x.stalest = max(x.stalest, stale)
	if stale > staleness+stalePatience {
		x.tooStale = append(x.tooStale, fmt.Sprintf("%s: a message %v after the loss", id, stale))
	}
}

func (x *streaming) messages() int { x.mu.Lock(); defer x.mu.Unlock(); return len(x.latest) }

func (x *streaming) violations() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.tooStale
}

// lose moves a thread away.
func (x *streaming) lose(t *testing.T, i int) {
	id := fmt.Sprintf("th_%d", i)
	x.move(t, "t_ann", "t_bob", thread(id))
	x.mu.Lock()
	x.lost[id] = time.Now().Round(0)
	x.mu.Unlock()
}

// run loses threads, one after the other, while the link and the client are in
// trouble of all kinds.
func (x *streaming) run(t *testing.T, from, to int, pace time.Duration) {
	t.Helper()
	signal := func(s syscall.Signal) { require.NoError(t, x.client.Process.Signal(s)) }
	for i := from; i < to; {
		calm := func() {}
		switch rand.IntN(7) {
		case 0:
			x.link.Cut()
		case 1:
			x.link.HalfOpen()
			calm = x.link.Restore
		case 2:
			x.link.Blackhole()
			calm = x.link.Restore
		case 3:
			x.link.Delay(time.Duration(rand.IntN(800)) * time.Millisecond)
			calm = x.link.Restore
		case 4:
			x.link.Refuse()
			calm = x.link.Restore
		case 5:
			signal(syscall.SIGSTOP)
			calm = func() { signal(syscall.SIGCONT) }
		}
		for range 1 + rand.IntN(5) {
			if i < to {
				x.lose(t, i)
				i++
			}
			time.Sleep(pace)
		}
		calm()
		time.Sleep(pace * time.Duration(rand.IntN(8)))
	}
}

// requireBound runs the trouble, and then waits until the client has recovered.
func (x *streaming) requireBound(t *testing.T, pace time.Duration) {
	t.Helper()
	x.run(t, 0, staleStreams-1, pace)
	last := fmt.Sprintf("th_%d", staleStreams-1)
	calm := time.Now()
	require.Eventually(t, func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		return x.latest[last].After(calm.Add(staleness)) // what is owned goes on
	}, time.Minute, 10*time.Millisecond)
	require.Empty(t, x.violations())
	x.mu.Lock()
	defer x.mu.Unlock()
	require.NotZero(t, x.stalest, "nothing was in trouble")
	t.Logf("%d losses; the stalest message was %v old, the bound is %v", staleStreams-1, x.stalest, staleness+stalePatience)
}

func TestNoStreamGoesOnLongerThanTheBoundWhateverLiesBetween(t *testing.T) {
	t.Parallel()
	newStreaming(t).requireBound(t, 20*time.Millisecond)
}

// A client that does not look at its age goes on while nothing comes.
func TestTheBoundIsNotKeptByAClientThatIgnoresItsAge(t *testing.T) {
	t.Parallel()
	x := newStreaming(t, ageOmitted+"=1")
	x.link.Blackhole()
	x.lose(t, 0)
	require.Eventually(t, func() bool { return len(x.violations()) > 0 }, time.Minute, 10*time.Millisecond)
	require.True(t, strings.HasPrefix(x.violations()[0], "th_0: "))
}
