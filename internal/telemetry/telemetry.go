// Package telemetry sets OpenTelemetry and the log up, and shuts them down.
//
// What it emits, and where to:
//
//   - Metrics are always to be had in Prometheus text from Telemetry.Metrics,
//     with those of the Go runtime and of the process. They are pushed besides
//     if OTEL_METRICS_EXPORTER or an OTLP endpoint asks for it.
//   - Traces are exported if OTEL_TRACES_EXPORTER or an OTLP endpoint asks
//     for it, else not made at all: nothing is spent on spans that nobody gets.
//     Trace ids of callers reach the log all the same.
//   - The log goes to one writer, as JSON or as text (see NewLogger), with
//     trace_id and span_id if the context has a span.
//
// The environment variables are those of the OpenTelemetry specification:
// OTEL_SDK_DISABLED, OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES (they win
// over the service name realtime-registry), the exporters', the samplers'. A
// variable that cannot be followed is an error of New; a pair of
// OTEL_RESOURCE_ATTRIBUTES that is none is left out, and told. With
// OTEL_METRICS_EXPORTER=prometheus nothing is added to Telemetry.Metrics, unless
// OTEL_EXPORTER_PROMETHEUS_HOST or _PORT asks for a server of its own.
//
// Nothing global is set but the handler of OpenTelemetry's own errors, which
// has no other place: an exporter that cannot export is logged as a warning.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"
	nooptrace "go.opentelemetry.io/otel/trace/noop"

	"github.com/northstar-engines/realtime-registry/internal/redact"
)

// ServiceName is the service.name of everything that is exported, unless
// OTEL_SERVICE_NAME says otherwise.
const ServiceName = "realtime-registry"

// FlushTimeout bounds Shutdown: a collector that does not answer must not keep
// a drained process alive.
const FlushTimeout = 5 * time.Second

// Options says what to set up. The zero Options are fit for use.
type Options struct {
	Version string       // service.version; empty: none
	Logger  *slog.Logger // for OpenTelemetry's own errors; nil: they are dropped
}

// Telemetry is what a process gives to its parts. Every field is set.
type Telemetry struct {
	MeterProvider  metric.MeterProvider
	TracerProvider trace.TracerProvider
	Propagator     propagation.TextMapPropagator // W3C trace context and baggage
	Metrics        http.Handler                  // Prometheus text

	shutdown []func(context.Context) error
}

// New sets telemetry up as the environment asks for. The error names the
// signal that cannot be exported as asked.
func New(ctx context.Context, o Options) (*Telemetry, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	t := &Telemetry{
		MeterProvider:  noopmetric.NewMeterProvider(),
		TracerProvider: nooptrace.NewTracerProvider(),
		Propagator:     propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
		Metrics:        promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
	}
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return t, nil
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		o.Logger.Warn("telemetry", "error", redact.Text(err.Error()))
	}))
	res, err := newResource(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := checkEndpoints(); err != nil {
		return nil, err
	}
	if err := errors.Join(t.addMetrics(ctx, res, registry), t.addTraces(ctx, res)); err != nil {
		return nil, errors.Join(err, t.Shutdown(ctx))
	}
	return t, nil
}

// Shutdown exports what is left and stops, within FlushTimeout. It works also
// if ctx has ended already: that is when it is called. After it returns
// nothing more is exported.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), FlushTimeout)
	defer cancel()
	done := make(chan error, len(t.shutdown))
	for _, shutdown := range t.shutdown {
		go func() { done <- shutdown(ctx) }()
	}
	var errs []error
	for range t.shutdown {
		errs = append(errs, <-done)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("flush telemetry: %w", err)
	}
	return nil
}

// newResource leaves out what OTEL_RESOURCE_ATTRIBUTES says in other than pairs:
// no service stands still for a label.
func newResource(ctx context.Context, o Options) (*resource.Resource, error) {
	attributes := []resource.Option{
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		resource.WithAttributes(semconv.ServiceName(ServiceName)),
	}
	if o.Version != "" {
		attributes = append(attributes, resource.WithAttributes(semconv.ServiceVersion(o.Version)))
	}
	if err := dropStrays(o.Logger); err != nil {
		return nil, err
	}
	res, err := resource.New(ctx, append(attributes, resource.WithFromEnv())...) // the last one wins
	if err != nil {
		return nil, fmt.Errorf("telemetry: resource: %w", err)
	}
	return res, nil
}

// dropStrays takes what is no pair out of OTEL_RESOURCE_ATTRIBUTES, and tells it;
// between two commas may be nothing. It sets the variable: the SDK reads it again
// for each provider, and fails each time.
func dropStrays(log *slog.Logger) error {
	const name = "OTEL_RESOURCE_ATTRIBUTES"
	var pairs, strays []string
	for pair := range strings.SplitSeq(os.Getenv(name), ",") {
		pair = strings.TrimSpace(pair)
		switch {
		case strings.Contains(pair, "="):
			pairs = append(pairs, pair)
		case pair != "":
			strays = append(strays, pair)
		}
	}
	if len(strays) > 0 {
		log.Warn(name+": not KEY=VALUE, and left out", "left_out", strays)
	}
	return os.Setenv(name, strings.Join(pairs, ","))
}

// checkEndpoints refuses endpoints that the exporters take without a word and
// export nothing to: of localhost:4318 they make a URL whose scheme is localhost.
func checkEndpoints() error {
	for _, signal := range []string{"METRICS", "TRACES"} {
		if exporter := os.Getenv("OTEL_" + signal + "_EXPORTER"); !asked(signal) || exporter != "" && exporter != "otlp" {
			continue
		}
		for _, name := range []string{"OTEL_EXPORTER_OTLP_" + signal + "_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"} {
			value := os.Getenv(name)
			if value == "" {
				continue
			}
			if u, err := url.Parse(value); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
				return fmt.Errorf("telemetry: %s=%q: want a URL such as http://localhost:4318, with http:// or https://", name, redact.Text(value))
			}
			break // the one for the signal wins
		}
	}
	return nil
}

func (t *Telemetry) addMetrics(ctx context.Context, res *resource.Resource, registry *prometheus.Registry) error {
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return fmt.Errorf("telemetry: prometheus: %w", err)
	}
	options := []sdkmetric.Option{sdkmetric.WithResource(res), sdkmetric.WithReader(exporter)}
	if asked("METRICS") {
		reader, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return fmt.Errorf("telemetry: metrics (OTEL_METRICS_EXPORTER=%q): %w", os.Getenv("OTEL_METRICS_EXPORTER"), err)
		}
		options = append(options, sdkmetric.WithReader(reader))
	}
	provider := sdkmetric.NewMeterProvider(options...)
	t.MeterProvider = provider
	t.shutdown = append(t.shutdown, provider.Shutdown)
	return nil
}

func (t *Telemetry) addTraces(ctx context.Context, res *resource.Resource) error {
	if !asked("TRACES") {
		return nil
	}
	exporter, err := autoexport.NewSpanExporter(ctx)
	if err != nil {
		return fmt.Errorf("telemetry: traces (OTEL_TRACES_EXPORTER=%q): %w", os.Getenv("OTEL_TRACES_EXPORTER"), err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(res), sdktrace.WithBatcher(exporter))
	t.TracerProvider = provider
	t.shutdown = append(t.shutdown, provider.Shutdown)
	return nil
}

// asked reports whether the environment asks for the export of a signal. The
// specification's default is OTLP to localhost, which would fail on most
// machines for ever.
func asked(signal string) bool {
	switch exporter := os.Getenv("OTEL_" + signal + "_EXPORTER"); exporter {
	case "":
	case "prometheus": // Telemetry.Metrics is that already
		return os.Getenv("OTEL_EXPORTER_PROMETHEUS_HOST") != "" || os.Getenv("OTEL_EXPORTER_PROMETHEUS_PORT") != ""
	default:
		return exporter != "none"
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
}
