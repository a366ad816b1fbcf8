package api_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/northstar-engines/realtime-registry/internal/api"
)

func probe(fault func() error) func(context.Context) error {
	return func(context.Context) error { return fault() }
}

func TestEveryRequestIsMeasuredByRouteWithBoundedLabels(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	s := serve(t, api.Options{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))})
	for i := range 20 {
		s.ask(t, fmt.Sprintf("GET /v1/threads/th_%d/access%s\nX-Forwarded-Host: h%d", i, asAnn, i))
		s.ask(t, fmt.Sprintf("GET /no/such/%d", i))
		s.ask(t, fmt.Sprintf("METHOD%d /livez", i))
	}
	s.ask(t, "GET /v1/threads/panics/access"+asAnn)
	var data metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &data))
	counts := map[string]uint64{}
	for _, p := range data.ScopeMetrics[0].Metrics[0].Data.(metricdata.Histogram[float64]).DataPoints {
		counts[p.Attributes.Encoded(attribute.DefaultEncoder())] = p.Count
	}
	require.Equal(t, map[string]uint64{
		"http.request.method=GET,http.response.status_code=404,http.route=/v1/threads/{id}/access": 20,
		"http.request.method=GET,http.response.status_code=404,http.route=":                        20,
		"http.request.method=_OTHER,http.response.status_code=405,http.route=":                     20,
		"http.request.method=GET,http.response.status_code=500,http.route=/v1/threads/{id}/access": 1,
	}, counts)
}

const sampled = "\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestARequestIsASpanInTheTraceOfACallerWithAToken(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	s := serve(t, api.Options{
		Tokens:         []string{"api"},
		TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)),
		Propagator:     propagation.TraceContext{},
	})
	s.ask(t, "GET /v1/threads/th_1/access"+asAnn+"\nAuthorization: Bearer api"+sampled)
	require.Len(t, spans.Ended(), 1)
	span := spans.Ended()[0]
	require.Equal(t, "GET /v1/threads/{id}/access", span.Name())
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", span.SpanContext().TraceID().String())
	require.Equal(t, "b7ad6b7169203331", span.Parent().SpanID().String())
	require.Contains(t, span.Attributes(), attribute.String("registry.tenant_id", "t_ann"))
	require.Contains(t, span.Attributes(), attribute.String("registry.resource", "thread/th_1"))
}

// Spans cost money: who is not let in makes none, and who has no token does not
// say whether there is one.
func TestACallerWithoutATokenDoesNotDecideWhatIsSampled(t *testing.T) {
	for name, test := range map[string]struct {
		tokens []string
		share  float64
		parent string
		want   int
	}{
		"refused":                       {[]string{"api"}, 1, sampled, 0},
		"open, and sampled by caller":   {nil, 0, sampled, 0},
		"open, and unsampled by caller": {nil, 1, strings.TrimSuffix(sampled, "1") + "0", 1},
	} {
		t.Run(name, func(t *testing.T) {
			spans := tracetest.NewSpanRecorder()
			s := serve(t, api.Options{
				Tokens: test.tokens,
				TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans),
					sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(test.share)))),
				Propagator: propagation.TraceContext{},
			})
			s.ask(t, "GET /v1/threads/th_1/access"+asAnn+test.parent)
			require.Len(t, spans.Ended(), test.want)
			for _, span := range spans.Ended() {
				require.False(t, span.Parent().IsValid())
				require.Equal(t, "0af7651916cd43dd8448eb211c80319c", span.Links()[0].SpanContext.TraceID().String())
			}
		})
	}
}

// logText is a log that may be written to and read at once.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func TestAnOutageIsLoggedAndDoesNotFloodTheLog(t *testing.T) {
	var log logText
	s := serve(t, api.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	s.down.Store(true)
	for range 300 {
		s.ask(t, "GET /v1/threads/th_1/access"+asAnn)
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	require.Contains(t, log.text.String(), "connection refused by 10.0.0.7")
	require.Less(t, strings.Count(log.text.String(), "\n"), 250)
}
