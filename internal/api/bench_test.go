package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// traced are the ways in which a process is traced: by default not at all, and with
// one of a hundred requests sampled.
var traced = map[string]trace.TracerProvider{
	"untraced":           tracenoop.NewTracerProvider(),
	"a hundredth traced": sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.01)))),
}

// cachedChecks is a server with telemetry on that has one thread in memory.
func cachedChecks(tb testing.TB, tracers trace.TracerProvider, tokens ...string) *api.Server {
	tb.Helper()
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader()))
	store := memregistry.New()
	v, err := verifier.New(tb.Context(), store, verifier.Options{MaxStaleness: 2 * time.Second, MeterProvider: meters, TracerProvider: tracers})
	require.NoError(tb, err)
	s, err := api.New(api.Options{
		Verifier: v, Registry: registry.New(store), Tokens: tokens, MeterProvider: meters, TracerProvider: tracers,
		Propagator: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
	})
	require.NoError(tb, err)
	_, err = store.Claim(tb.Context(), "t_ann", thread("th_1"))
	require.NoError(tb, err)
	require.Eventually(tb, func() bool {
		_ = v.Verify(tb.Context(), "t_ann", thread("th_1"))
		return v.VerifyCached(tb.Context(), "t_ann", thread("th_1"))
	}, time.Minute, time.Millisecond)
	return s
}

func checkRequest() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://localhost/v1/threads/th_1/access", nil)
	r.Header.Set("X-Tenant-Id", "t_ann")
	r.Header.Set("Authorization", "Bearer secret")
	return r
}

// discarded is the least that a handler answers to.
type discarded struct {
	header http.Header
	status int
}

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) Write(b []byte) (int, error) { return len(b), nil }
func (d *discarded) WriteHeader(status int)      { d.status = status }

// BenchmarkCachedCheck is what the handler costs beside what net/http does.
func BenchmarkCachedCheck(b *testing.B) {
	for name, tracers := range traced {
		b.Run(name, func(b *testing.B) {
			s := cachedChecks(b, tracers, "secret")
			r := checkRequest()
			w := &discarded{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				s.ServeHTTP(w, r)
			}
			require.Equal(b, http.StatusNoContent, w.status)
		})
	}
}

// BenchmarkCachedCheckOverHTTP asks a server for a cached check, and one with a bare
// handler, by turns in one run, over the same number of connections. It reports the
// rates and the p99 of both, and how they compare: more is better.
func BenchmarkCachedCheckOverHTTP(b *testing.B) {
	for name, tracers := range traced {
		b.Run(name, func(b *testing.B) { besideBare(b, cachedChecks(b, tracers, "secret")) })
	}
}

func besideBare(b *testing.B, checks *api.Server) {
	const connections, turn = 8, 50 * time.Millisecond
	bare := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	ours, theirs := listen(b, checks), listen(b, bare)
	var mine, its load
	for b.Loop() {
		for range 20 {
			its.ask(b, theirs, connections, turn)
			mine.ask(b, ours, connections, turn)
		}
	}
	b.ReportMetric(mine.rate(), "checks/s")
	b.ReportMetric(its.rate(), "bare/s")
	b.ReportMetric(mine.rate()/its.rate(), "rate-ratio")
	b.ReportMetric(float64(mine.p99().Microseconds()), "p99-µs")
	b.ReportMetric(float64(its.p99().Microseconds()), "bare-p99-µs")
}

func listen(b *testing.B, h http.Handler) (addr string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	server := &http.Server{Handler: h}
	go func() { _ = server.Serve(listener) }()
	b.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}

// load is what was asked of a server.
type load struct {
	mu    sync.Mutex
	took  []time.Duration
	spent time.Duration
}

func (l *load) rate() float64 { return float64(len(l.took)) / l.spent.Seconds() }

func (l *load) p99() time.Duration {
	slices.Sort(l.took)
	return l.took[len(l.took)*99/100]
}

func (l *load) ask(b *testing.B, addr string, connections int, d time.Duration) {
	ctx, stop := context.WithTimeout(b.Context(), d)
	defer stop()
	began := time.Now()
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				b.Error(err)
				return
			}
			defer func() { _ = conn.Close() }()
			answers := bufio.NewReader(conn)
			var took []time.Duration
			for ctx.Err() == nil {
				sent := time.Now()
				_, _ = io.WriteString(conn, "GET /v1/threads/th_1/access HTTP/1.1\r\nHost: localhost\r\nX-Tenant-Id: t_ann\r\nAuthorization: Bearer secret\r\n\r\n")
				if err := readNoContent(answers); err != nil {
					b.Error(err)
					return
				}
				took = append(took, time.Since(sent))
			}
			l.mu.Lock()
			l.took = append(l.took, took...)
			l.mu.Unlock()
		})
	}
	all.Wait()
	l.spent += time.Since(began)
}

// readNoContent costs as little as can be, so that what is compared are the servers.
func readNoContent(r *bufio.Reader) error {
	for n := 0; ; n++ {
		line, err := r.ReadSlice('\n')
		switch {
		case err != nil:
			return err
		case n == 0 && string(line) != "HTTP/1.1 204 No Content\r\n":
			return fmt.Errorf("answered %q", line)
		case len(line) == 2:
			return nil
		}
	}
}
