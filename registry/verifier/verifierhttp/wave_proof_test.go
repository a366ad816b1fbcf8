//go:build proofs

package verifierhttp_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/test/bufconn"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
	"github.com/northstar-engines/realtime-registry/registry/verifier/verifierhttp"
)

// A tenant with 10,000 open streams is moved. All end at once, and each comes back
// once and is refused: as browsers do of themselves, three seconds later (Chromium's
// default), and as the guard asks them to.
//
//	go test -tags proofs -v -run ReconnectWave ./registry/verifier/verifierhttp
func TestProofOfTheReconnectWave(t *testing.T) {
	const streams, over = 10_000, 10 * time.Second
	of := func(retry bool) int {
		w := newWave(t, over)
		w.open(streams)
		moved := time.Now()
		w.moveAway()
		w.comeBack(retry)
		return w.report(moved)
	}
	t.Log("before: every stream comes back after the three seconds of browsers")
	before := of(false)
	t.Log("after: each comes back after its own retry")
	after := of(true)
	require.Less(t, after, 2*streams/int(over.Seconds()), "the busiest second, where %v would be even", streams/int(over.Seconds()))
	t.Logf("the busiest second: %d connects before, %d after", before, after)
}

// wave is a transport with its clients, over connections in memory: no machine lets
// one process have 20,000 of the other kind without being asked.
type wave struct {
	t        *testing.T
	listener *bufconn.Listener
	store    *memregistry.Store
	clients  []*waveClient

	mu       sync.Mutex
	connects []time.Time
}

type waveClient struct {
	net.Conn
	answer *bufio.Reader
}

const threads = 500

func newWave(t *testing.T, over time.Duration) *wave {
	t.Helper()
	w := &wave{t: t, listener: bufconn.Listen(2 << 10), store: memregistry.New()}
	for i := range threads {
		require.NoError(t, registry.New(w.store).RegisterThread(t.Context(), "t_ann", fmt.Sprint("th_", i)))
	}
	v, err := verifier.New(w.store, verifier.Options{MaxStaleness: time.Second})
	require.NoError(t, err)
	t.Cleanup(v.Close)
	require.Eventually(t, func() bool {
		return !isClosed(v.Watch(t.Context(), registry.Resource{Kind: registry.Thread, ID: "th_0"}))
	}, time.Minute, time.Millisecond)
	protect, err := verifierhttp.New(v, verifierhttp.Options{
		Tenant: func(*http.Request) string { return "t_ann" },
		Resource: func(r *http.Request) registry.Resource {
			return registry.Resource{Kind: registry.Thread, ID: r.URL.Path[1:]}
		},
		ReturnOver: over,
	})
	require.NoError(t, err)
	stream := protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: hello\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.connects = append(w.connects, time.Now())
		w.mu.Unlock()
		stream.ServeHTTP(rw, r)
	})}
	go func() { _ = server.Serve(w.listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return w
}

// connect asks as an EventSource, and returns behind the header of the answer.
func (w *wave) connect(thread int) (c *waveClient, status string) {
	conn, err := w.listener.DialContext(context.Background())
	if err != nil {
		w.t.Error(err)
		return nil, ""
	}
	_, _ = fmt.Fprintf(conn, "GET /th_%d HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nConnection: close\r\n\r\n", thread)
	c = &waveClient{conn, bufio.NewReaderSize(conn, 512)}
	status, _ = c.answer.ReadString('\n')
	return c, status
}

func (w *wave) open(streams int) {
	w.t.Helper()
	w.clients = make([]*waveClient, streams)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			for n := i; n < streams; n += 50 {
				c, status := w.connect(n % threads)
				if !strings.Contains(status, "200") {
					w.t.Errorf("stream %d: %s", n, status)
				}
				w.clients[n] = c
			}
		})
	}
	all.Wait()
	w.mu.Lock()
	w.connects = nil
	w.mu.Unlock()
}

func (w *wave) moveAway() {
	require.Equal(w.t, ownership.Applied, w.store.Apply(w.t.Context(), []ownership.Change{{Entry: ownership.Entry{
		Type: ownership.Moved, From: "t_ann", To: "t_bob",
		Version: ownership.Version{Time: time.Now().Add(time.Second), Source: "test", ID: "m"},
	}}})[0].Kind)
}

// comeBack has every client read to the end, wait, and connect until it is refused.
func (w *wave) comeBack(byRetry bool) {
	var all sync.WaitGroup
	for n, c := range w.clients {
		all.Go(func() {
			for status := "200"; strings.Contains(status, "200"); {
				rest, _ := io.ReadAll(c.answer)
				_ = c.Close()
				time.Sleep(wait(string(rest), byRetry))
				c, status = w.connect(n % threads)
				if !strings.Contains(status, "200") && !strings.Contains(status, "404") {
					w.t.Errorf("stream %d: %s", n, status)
				}
			}
			_ = c.Close()
		})
	}
	all.Wait()
}

func wait(stream string, byRetry bool) time.Duration {
	_, field, found := strings.Cut(stream, "retry: ")
	if !byRetry || !found {
		return 3 * time.Second
	}
	ms, _ := strconv.Atoi(field[:strings.IndexByte(field, '\n')])
	return time.Duration(ms) * time.Millisecond
}

// report prints the connects of each second, and returns those of the busiest.
func (w *wave) report(since time.Time) (busiest int) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var seconds []int
	for _, at := range w.connects {
		second := int(at.Sub(since) / time.Second)
		for len(seconds) <= second {
			seconds = append(seconds, 0)
		}
		seconds[second]++
	}
	for second, connects := range seconds {
		if connects > 0 {
			w.t.Logf("second %2d after the move: %5d connects", second, connects)
		}
		busiest = max(busiest, connects)
	}
	w.t.Logf("%d connects in all, the last %.1f s after the move", len(w.connects), w.connects[len(w.connects)-1].Sub(since).Seconds())
	return busiest
}
