package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/northstar-engines/realtime-registry/internal/telemetry"
)

// start sets telemetry up with the given variables, and no other of OTEL_*.
func start(t *testing.T, env map[string]string) *telemetry.Telemetry {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
	tel, err := telemetry.New(t.Context(), telemetry.Options{Version: "v1.2.3"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = tel.Shutdown(context.Background()) })
	return tel
}

func scrape(t *testing.T, tel *telemetry.Telemetry) string {
	t.Helper()
	w := httptest.NewRecorder()
	tel.Metrics.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, w.Code)
	return w.Body.String()
}

// collector is an OTLP collector over HTTP that counts requests by path.
func collector(t *testing.T) (url string, requests func(path string) int64) {
	t.Helper()
	var traces, metrics atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/v1/traces":
			traces.Add(1)
		case "/v1/metrics":
			metrics.Add(1)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, func(path string) int64 {
		return map[string]*atomic.Int64{"/v1/traces": &traces, "/v1/metrics": &metrics}[path].Load()
	}
}

func TestMetricsAreScrapedWithNameAndVersion(t *testing.T) {
	tel := start(t, nil)
	counter, err := tel.MeterProvider.Meter("test").Int64Counter("registry.tests")
	require.NoError(t, err)
	counter.Add(t.Context(), 7)

	text := scrape(t, tel)
	require.Contains(t, text, "registry_tests_total 7")
	require.Contains(t, text, `service_name="realtime-registry"`)
	require.Contains(t, text, `service_version="v1.2.3"`)
	require.Contains(t, text, "go_goroutines")
	require.Contains(t, text, "process_start_time_seconds")
}

func TestServiceNameIsTheOperatorsToChoose(t *testing.T) {
	require.Contains(t, scrape(t, start(t, map[string]string{"OTEL_SERVICE_NAME": "other"})), `service_name="other"`)
}

func TestNothingIsExportedUnasked(t *testing.T) {
	tel := start(t, nil)
	_, span := tel.TracerProvider.Tracer("test").Start(t.Context(), "check")
	require.False(t, span.IsRecording())
	require.NoError(t, tel.Shutdown(t.Context()))
}

func TestNothingIsExportedWhereTheSDKIsDisabled(t *testing.T) {
	url, requests := collector(t)
	tel := start(t, map[string]string{"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": url})
	_, span := tel.TracerProvider.Tracer("test").Start(t.Context(), "check")
	span.End()
	require.NoError(t, tel.Shutdown(t.Context()))
	require.Zero(t, requests("/v1/traces"))
}

func TestShutdownExportsWhatIsLeft(t *testing.T) {
	url, requests := collector(t)
	tel := start(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": url})
	ctx, cancel := context.WithCancel(t.Context())
	_, span := tel.TracerProvider.Tracer("test").Start(ctx, "check")
	require.True(t, span.IsRecording())
	span.End()
	counter, err := tel.MeterProvider.Meter("test").Int64Counter("registry.tests")
	require.NoError(t, err)
	counter.Add(ctx, 1)

	cancel() // as a process's context is when it shuts down
	require.NoError(t, tel.Shutdown(ctx))
	require.EqualValues(t, 1, requests("/v1/traces"))
	require.EqualValues(t, 1, requests("/v1/metrics"))
	require.Contains(t, scrape(t, tel), "go_goroutines", "a last scrape is still answered")
}

func TestOneSignalCanBeLeftOut(t *testing.T) {
	url, requests := collector(t)
	tel := start(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_TRACES_EXPORTER": "none"})
	_, span := tel.TracerProvider.Tracer("test").Start(t.Context(), "check")
	span.End()
	require.NoError(t, tel.Shutdown(t.Context()))
	require.Zero(t, requests("/v1/traces"))
	require.EqualValues(t, 1, requests("/v1/metrics"))
}

func TestACollectorThatHangsDoesNotHoldShutdown(t *testing.T) {
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	t.Cleanup(func() { close(hang); s.Close() })
	tel := start(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": s.URL})
	_, span := tel.TracerProvider.Tracer("test").Start(t.Context(), "check")
	span.End()

	began := time.Now()
	require.ErrorContains(t, tel.Shutdown(t.Context()), "flush telemetry")
	require.Less(t, time.Since(began), 2*telemetry.FlushTimeout)
}

func TestAnExporterThatDoesNotExistIsNamed(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "jaegr")
	_, err := telemetry.New(t.Context(), telemetry.Options{})
	require.ErrorContains(t, err, "telemetry: traces")
	require.ErrorContains(t, err, "jaegr")
}

func TestAPairThatIsNoneIsLeftOutAndTold(t *testing.T) {
	for attributes, told := range map[string]string{
		"team=a,":                "",
		",team=a,, ":             "",
		"team=a,stray":           "stray",
		"stray,team=a,other":     "other",
		"team=a,s=https://u:p@h": "",
	} {
		var log bytes.Buffer
		t.Setenv("OTEL_RESOURCE_ATTRIBUTES", attributes)
		tel, err := telemetry.New(t.Context(), telemetry.Options{Logger: telemetry.NewLogger(&log, telemetry.JSON, slog.LevelInfo)})
		require.NoError(t, err, attributes)
		require.Contains(t, scrape(t, tel), `team="a"`, attributes)
		require.Contains(t, log.String(), told)
		require.Equal(t, told == "", log.Len() == 0, log.String())
		require.NoError(t, tel.Shutdown(t.Context()))
	}
}

func TestAnEndpointThatWouldExportNothingIsRefusedByName(t *testing.T) {
	for _, endpoint := range []string{"localhost:4318", "10.0.0.1:4318", "collector", "//collector:4318", "http:collector", "http://", "grpc://collector:4317", "user:s3cret@collector:4317"} {
		for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
			t.Run(name+" "+endpoint, func(t *testing.T) {
				t.Setenv(name, endpoint)
				_, err := telemetry.New(t.Context(), telemetry.Options{})
				require.ErrorContains(t, err, name)
				require.ErrorContains(t, err, "http://")
				require.NotContains(t, err.Error(), "s3cret")
			})
		}
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318")
	start(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318", "OTEL_METRICS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "none"})
	start(t, map[string]string{"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318"})
}

func TestTwoProcessesWithThePrometheusExporterStartSideBySide(t *testing.T) {
	for range 2 {
		require.Contains(t, scrape(t, start(t, map[string]string{"OTEL_METRICS_EXPORTER": "prometheus"})), "go_goroutines")
	}
}

func TestCallersTraceContextIsCarried(t *testing.T) {
	tel := start(t, nil)
	carrier := propagation.MapCarrier{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	ctx := tel.Propagator.Extract(t.Context(), carrier)
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", trace.SpanContextFromContext(ctx).TraceID().String())
}

func TestJSONLinesCarryTraceIDs(t *testing.T) {
	var b bytes.Buffer
	ctx := propagation.TraceContext{}.Extract(t.Context(),
		propagation.MapCarrier{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
	log := telemetry.NewLogger(&b, telemetry.JSON, slog.LevelInfo).With("part", "test")

	log.InfoContext(ctx, "refused", "reason", "schema", "took", 1500*time.Millisecond)
	var line map[string]any
	require.NoError(t, json.Unmarshal(b.Bytes(), &line))
	require.Equal(t, "refused", line["msg"])
	require.Equal(t, "schema", line["reason"])
	require.Equal(t, "test", line["part"])
	require.Equal(t, "1.5s", line["took"])
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", line["trace_id"])
	require.Equal(t, "b7ad6b7169203331", line["span_id"])

	b.Reset()
	log.Info("plain")
	require.NotContains(t, b.String(), "trace_id")
}

func TestPasswordsStayOutOfTheLog(t *testing.T) {
	for _, format := range []string{telemetry.JSON, telemetry.Text} {
		var log bytes.Buffer
		telemetry.NewLogger(&log, format, slog.LevelInfo).Warn("export to https://user:pa55@collector",
			"error", fmt.Errorf("post: %w", errors.New("https://user:pa55@collector: refused")), "url", "https://user:pa55@collector")
		require.NotContains(t, log.String(), "pa55", format)
		require.Equal(t, 3, strings.Count(log.String(), "https://(redacted)@collector"), log.String())
	}
}

func TestLogFormats(t *testing.T) {
	for format, want := range map[string]string{
		telemetry.JSON: `{"time":`,
		telemetry.Text: `time=`,
		telemetry.Auto: `{"time":`, // nobody is looking at a buffer
	} {
		var b bytes.Buffer
		log := telemetry.NewLogger(&b, format, slog.LevelWarn)
		log.Info("not said")
		require.Empty(t, b.String())
		log.Warn("said")
		require.True(t, strings.HasPrefix(b.String(), want), b.String())
	}
}

func TestAFileIsNoTerminal(t *testing.T) {
	f, err := os.Open(os.DevNull) // a character device, but nobody is looking
	require.NoError(t, err)
	defer f.Close()
	require.False(t, telemetry.IsTerminal(f))
	require.False(t, telemetry.IsTerminal(&bytes.Buffer{}))
}
