package telemetry_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
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
	setenv(t, env)
	tel, err := telemetry.New(t.Context(), telemetry.Options{Version: "v1.2.3"})
	require.NoError(t, err)
	require.NoError(t, telemetry.Check(t.Context()))
	t.Cleanup(func() { _ = tel.Shutdown(context.Background()) })
	return tel
}

// setenv sets these variables, and no other of OTEL_*.
func setenv(t *testing.T, env map[string]string) {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
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

func TestAVariableThatCannotBeFollowedIsNamedAndAllElseIsSetUp(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.pem")
	for name, test := range map[string]struct {
		env  map[string]string
		want string
	}{
		"an exporter that does not exist": {map[string]string{"OTEL_TRACES_EXPORTER": "jaegr"}, "jaegr"},
		"of metrics":                      {map[string]string{"OTEL_METRICS_EXPORTER": "statsd"}, "statsd"},
		"a protocol":                      {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "thrift"}, "OTEL_TRACES_EXPORTER"},
		"a certificate":                   {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "https://localhost:4318", "OTEL_EXPORTER_OTLP_CERTIFICATE": missing}, missing},
		"a timeout":                       {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_EXPORTER_OTLP_TIMEOUT": "10s"}, "duration"},
		"a header without a value":        {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_EXPORTER_OTLP_HEADERS": "s3cret"}, "headers"},
		"a sampler":                       {map[string]string{"OTEL_TRACES_EXPORTER": "console", "OTEL_TRACES_SAMPLER": "sometimes"}, "sometimes"},
		"a resource":                      {map[string]string{"OTEL_RESOURCE_ATTRIBUTES": "team"}, "team"},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, test.env)
			if name != "a sampler" { // Check makes no provider, which is what reads it
				require.ErrorContains(t, telemetry.Check(t.Context()), test.want)
			}
			tel, err := telemetry.New(t.Context(), telemetry.Options{})
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "s3cret")
			text := scrape(t, tel)
			require.Contains(t, text, "go_goroutines")
			require.NotContains(t, text, "registry_telemetry_faults 0")
			require.Contains(t, text, "registry_telemetry_failures_total 0")
			_ = tel.Shutdown(context.Background())
		})
	}
}

func TestAPrometheusServerWhosePortIsTakenIsAFaultAndMetricsAreStillServed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	host, port, _ := net.SplitHostPort(taken.Addr().String())
	setenv(t, map[string]string{"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_HOST": host, "OTEL_EXPORTER_PROMETHEUS_PORT": port})
	tel, err := telemetry.New(t.Context(), telemetry.Options{})
	require.ErrorContains(t, err, taken.Addr().String())
	require.Contains(t, scrape(t, tel), "registry_telemetry_faults 1")
	require.NoError(t, telemetry.Check(t.Context()), "it listens nowhere")
}

func TestACollectorThatCannotBeReachedIsToldAndCounted(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	setenv(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": gone.URL, "OTEL_METRIC_EXPORT_INTERVAL": "20"})
	var log lockedLog
	tel, err := telemetry.New(t.Context(), telemetry.Options{Logger: telemetry.NewLogger(&log, telemetry.LogOptions{Format: telemetry.JSON})})
	require.NoError(t, err, "it may come")
	t.Cleanup(func() { _ = tel.Shutdown(context.Background()) })
	require.Eventually(t, func() bool { return !strings.Contains(scrape(t, tel), "registry_telemetry_failures_total 0") }, time.Minute, 10*time.Millisecond)
	require.Contains(t, log.String(), `"level":"WARN","msg":"telemetry was not exported"`)
}

// lockedLog is a log that may be written to and read at once.
type lockedLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lockedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestEachProcessHasAnIDOfItsOwn(t *testing.T) {
	id := regexp.MustCompile(`service_instance_id="([0-9a-f-]{36})"`)
	one, two := id.FindStringSubmatch(scrape(t, start(t, nil))), id.FindStringSubmatch(scrape(t, start(t, nil)))
	require.Len(t, one, 2)
	require.Len(t, two, 2)
	require.NotEqual(t, one[1], two[1])
	require.Contains(t, scrape(t, start(t, map[string]string{"OTEL_RESOURCE_ATTRIBUTES": "service.instance.id=pod-7"})), `service_instance_id="pod-7"`)
}

func TestAServiceOfCloudRunIsNamedInItsResource(t *testing.T) {
	t.Setenv("K_SERVICE", "registry-api")
	t.Setenv("K_REVISION", "registry-api-00012")
	text := scrape(t, start(t, nil))
	for _, want := range []string{`cloud_platform="gcp_cloud_run"`, `faas_name="registry-api"`, `faas_version="registry-api-00012"`} {
		require.Contains(t, text, want)
	}
}

func TestAPairThatIsNoneIsLeftOutAndTold(t *testing.T) {
	for attributes, told := range map[string]string{
		"team=a,":                "",
		",team=a,, ":             "",
		"team=a,stray":           "stray",
		"stray,team=a,other":     "other",
		"team=a,s=https://u:p@h": "",
	} {
		setenv(t, map[string]string{"OTEL_RESOURCE_ATTRIBUTES": attributes})
		tel, err := telemetry.New(t.Context(), telemetry.Options{})
		require.Contains(t, scrape(t, tel), `team="a"`, attributes)
		if told == "" {
			require.NoError(t, err, attributes)
		} else {
			require.ErrorContains(t, err, told)
		}
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
				require.Equal(t, 1, strings.Count(err.Error(), name), "one fault of one variable: %v", err)
				require.EqualError(t, telemetry.Check(t.Context()), err.Error())
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
