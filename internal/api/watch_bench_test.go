package api_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// BenchmarkTwoThousandWatches has 2,000 watches of 50 resources each open, over
// HTTP/1.1, at MaxStaleness 2 s. It reports the processor time that they take in a
// quiet second, with their clients in the same process; what memory a connection
// takes, its client's too; and the longest times between two certificates of one, while
// others connect, quiet, and while others change 5,000 times a second.
func BenchmarkTwoThousandWatches(b *testing.B) {
	const connections, each = 2000, 50
	for b.Loop() {
		store := memregistry.New()
		v, err := verifier.New(store, verifier.Options{MaxStaleness: 2 * time.Second, MaxAge: verifier.Unbounded})
		require.NoError(b, err)
		b.Cleanup(v.Close)
		s, err := api.New(api.Options{Verifier: v, Registry: registry.New(store)})
		require.NoError(b, err)
		bodies := make([]string, connections)
		for i := range bodies {
			var all []string
			for j := range each {
				id := fmt.Sprintf("01890a5d-ac96-774b-bcce-%06d%06d", i, j)
				_, err := store.Claim(b.Context(), "t_ann", thread(id))
				require.NoError(b, err)
				all = append(all, "t_ann thread "+id)
			}
			bodies[i] = watchBody(all...)
		}
		addr := listen(b, s)
		before := heap()
		var open, running sync.WaitGroup
		conns := make([]net.Conn, connections)
		gaps := make([][3]time.Duration, connections)
		var phase atomic.Int32
		began := time.Now()
		for i := range conns {
			conns[i], err = net.Dial("tcp", addr)
			require.NoError(b, err)
			open.Add(1)
			running.Go(func() { gaps[i] = certifiedOn(conns[i], bodies[i], open.Done, &phase) })
		}
		open.Wait()
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-to-open")
		phase.Store(1)
		b.ReportMetric(float64(heap()-before)/connections, "B/connection")
		used := processorTime()
		time.Sleep(3 * time.Second)
		b.ReportMetric(float64((processorTime()-used).Milliseconds())/3, "cpu-ms/s")
		phase.Store(2)
		for n, until := 0, time.Now().Add(4*time.Second); time.Now().Before(until); n++ {
			changes := make([]ownership.Change, 50)
			for i := range changes {
				changes[i] = ownership.Change{Resource: thread(fmt.Sprintf("other_%d", (n*50+i)%100_000)), Entry: ownership.Entry{
					Type: ownership.Moved, From: "t_x", To: "t_y", Version: ownership.Version{Time: time.Now(), Source: "test", ID: fmt.Sprint(n)},
				}}
			}
			store.Apply(b.Context(), changes)
			time.Sleep(10 * time.Millisecond)
		}
		for _, c := range conns {
			_ = c.Close()
		}
		running.Wait()
		for i, name := range []string{"opening", "quiet", "busy"} {
			var longest time.Duration
			for _, g := range gaps {
				longest = max(longest, g[i])
			}
			b.ReportMetric(float64(longest.Milliseconds()), "ms-longest-gap-"+name)
		}
	}
}

// certifiedOn watches until the connection is closed, says when it has been certified
// first, and returns the longest times between two certificates, by the phase in which
// the latter came.
func certifiedOn(c net.Conn, body string, first func(), phase *atomic.Int32) (gap [3]time.Duration) {
	first = sync.OnceFunc(first)
	defer first()
	_, _ = fmt.Fprintf(c, "POST /v1/watch HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", len(body))
	_, _ = io.WriteString(c, body)
	var last time.Time
	for lines := bufio.NewReaderSize(c, 1<<10); ; {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			return gap
		}
		if bytes.HasPrefix(line, []byte("event: certified")) {
			if !last.IsZero() {
				now := phase.Load()
				gap[now] = max(gap[now], time.Since(last))
			}
			last = time.Now()
			first()
		}
	}
}

func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc + stats.StackInuse)
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
