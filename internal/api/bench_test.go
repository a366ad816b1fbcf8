package api_test

import (
	"net"
	"net/http"
	"net/http/httptest"
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
	v, err := verifier.New(store, verifier.Options{MaxStaleness: 2 * time.Second, MeterProvider: meters, TracerProvider: tracers})
	require.NoError(tb, err)
	tb.Cleanup(v.Close)
	s, err := api.New(api.Options{
		Verifier: v, Registry: registry.New(store), Tokens: tokens, MeterProvider: meters, TracerProvider: tracers,
		Propagator: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
	})
	require.NoError(tb, err)
	_, err = store.Claim(tb.Context(), "t_ann", thread("th_1"))
	require.NoError(tb, err)
	require.Eventually(tb, func() bool {
		_ = v.Verify(tb.Context(), "t_ann", thread("th_1"))
		return v.VerifyCached("t_ann", thread("th_1"))
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

// BenchmarkCachedCheck is what the handler costs beside what net/http does. (The suite
// serve of the module bench has the real program beside a bare server.)
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

func listen(b *testing.B, h http.Handler) (addr string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: h, Protocols: protocols}
	go func() { _ = server.Serve(listener) }()
	b.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}
