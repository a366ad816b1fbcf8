package api_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/northstar-engines/realtime-registry/internal/api"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// A check to which memory says yes takes a short way. Nobody can tell by the answer.
func TestACheckFromMemoryIsAnsweredAsOneThatIsRead(t *testing.T) {
	for _, tokens := range [][]string{nil, {"secret"}} {
		read, cached := serve(t, api.Options{Tokens: tokens}), watching(t, api.Options{Tokens: tokens})
		for _, s := range []*served{read, cached} {
			s.own(t, "t_ann", "th_1")
			require.NoError(t, s.verifier.VerifyThreadAccess(t.Context(), "t_ann", "th_1"))
		}
		const secret = "\nAuthorization: Bearer secret"
		for _, request := range []string{
			"GET /v1/threads/th_1/access" + asAnn + secret,
			"HEAD /v1/threads/th_1/access" + asAnn + secret,
			"GET /v1/threads/%74h_1/access" + asAnn + secret,
			"GET /v1/threads/th_1/access?x=y" + asAnn + secret,
			"GET /v1/threads/th_1/access" + asAnn,
			"GET /v1/threads/th_1/access" + asAnn + "\nAuthorization: Bearer secres",
			"GET /v1/threads/th_1/access" + asAnn + "\nAuthorization: Basic secret",
			"GET /v1/threads/th_1/access" + asAnn + secret + secret,
			"GET /v1/threads/th_1/access" + asAnn + asAnn + secret,
			"GET /v1/threads/th_1/access\nX-Tenant-Id: t_bob" + secret,
			"GET /v1/threads/th_1/access" + secret,
			"GET /v1/threads/th_1/access/" + asAnn + secret,
			"GET /v1/threads//access" + asAnn + secret,
			"GET /v1/threads/th_1%2Faccess/access" + asAnn + secret,
			"GET /v1/canvases/th_1/access" + asAnn + secret,
			"POST /v1/threads/th_1/access" + asAnn + secret + "\nContent-Length: 0",
			"GET http://elsewhere/v1/threads/th_1/access" + asAnn + secret,
			"GET /v1/threads/th_1/access" + asAnn + secret + "\nOrigin: http://elsewhere",
			"GET /v1/threads/th_1/access" + asAnn + secret + "\nSec-Fetch-Site: cross-site",
			"GET /v1/threads/th_1/access" + asAnn + secret + "\nContent-Length: 3\n\nabc",
			"GET /v1/threads/th_1/access" + asAnn + secret + "\nTransfer-Encoding: chunked\n\n0\r\n\r\n",
		} {
			want, got := read.ask(t, request), cached.ask(t, request)
			for _, a := range []answer{want, got} {
				a.Header.Del("Date")
			}
			require.Equal(t, want.StatusCode, got.StatusCode, request)
			require.Equal(t, want.Header, got.Header, request)
			require.Equal(t, want.body, got.body, request)
		}
		cached.server.Drain()
		require.True(t, cached.ask(t, "GET /v1/threads/th_1/access"+asAnn+secret).Close, "while it drains, connections are closed")
	}
}

// A check from memory is measured, and is a span in a trace that its caller samples.
func TestACheckFromMemoryIsMeasuredAndIsASpanOfItsCallersTrace(t *testing.T) {
	reader, spans := sdkmetric.NewManualReader(), tracetest.NewSpanRecorder()
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	store := memregistry.New()
	v, err := verifier.New(store, verifier.Options{MaxStaleness: time.Minute, MeterProvider: meters})
	require.NoError(t, err)
	t.Cleanup(v.Close)
	s, err := api.New(api.Options{
		Verifier: v, Registry: registry.New(store), Tokens: []string{"secret"}, MeterProvider: meters, TracerProvider: tracers,
		Propagator: propagation.TraceContext{},
	})
	require.NoError(t, err)
	_, err = store.Claim(t.Context(), "t_ann", thread("th_1"))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		require.NoError(t, v.VerifyThreadAccess(t.Context(), "t_ann", "th_1"))
		return v.VerifyCached("t_ann", thread("th_1"))
	}, time.Minute, time.Millisecond)
	for traceparent, n := range map[string]int{
		"": 0,
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00": 0,
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01": 1,
	} {
		spans.Reset()
		r, w := checkRequest(), httptest.NewRecorder()
		r.Header.Set("Traceparent", traceparent)
		s.ServeHTTP(w, r)
		require.Equal(t, http.StatusNoContent, w.Code)
		require.Len(t, spans.Ended(), n, traceparent)
		if n == 1 {
			span := spans.Ended()[0]
			require.Equal(t, "GET /v1/threads/{id}/access", span.Name())
			require.Equal(t, "b7ad6b7169203331", span.Parent().SpanID().String())
			require.Len(t, span.Attributes(), 5)
			require.Contains(t, span.Attributes(), attribute.String("registry.resource", "thread/th_1"))
		}
	}
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name == "http.server.request.duration" {
				require.EqualValues(t, 3, m.Data.(metricdata.Histogram[float64]).DataPoints[0].Count)
				return
			}
		}
	}
	t.Error("not measured")
}

// What a check from memory allocates is its answer's header.
func TestACheckFromMemoryCostsNoMoreThanItsHeader(t *testing.T) {
	s := cachedChecks(t, traced["untraced"], "secret")
	r, w := checkRequest(), &discarded{header: http.Header{}}
	// What else runs in this process allocates too, and a check may find no certificate
	// on a busy machine: one run without either is enough.
	require.Eventually(t, func() bool {
		return testing.AllocsPerRun(100, func() {
			clear(w.header)
			s.ServeHTTP(w, r)
		}) <= 3
	}, time.Minute, time.Millisecond)
}
