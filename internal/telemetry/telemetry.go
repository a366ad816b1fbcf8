// Package telemetry sets OpenTelemetry and the log up, and shuts them down.
//
// What it emits, and where to:
//
//   - Metrics are always to be had in Prometheus text from Telemetry.Metrics,
//     with those of the Go runtime and of the process. They are pushed besides
//     where OTEL_METRICS_EXPORTER or an OTLP endpoint asks for it.
//   - Traces are exported where OTEL_TRACES_EXPORTER or an OTLP endpoint asks
//     for it, else not made at all: nothing is spent on spans that nobody gets.
//     Trace ids of callers reach the log all the same.
//   - The log goes to one writer, as JSON or as text (see NewLogger), with
//     trace_id and span_id where the context has a span.
//
// The environment variables are those of the OpenTelemetry specification:
// OTEL_SDK_DISABLED, OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES (they win
// over the service name realtime-registry), the exporters', the samplers'. A
// variable that cannot be followed is an error of New.
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
		o.Logger.Warn("telemetry", "error", err)
	}))
	res, err := newResource(ctx, o.Version)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(t.addMetrics(ctx, res, registry), t.addTraces(ctx, res)); err != nil {
		return nil, errors.Join(err, t.Shutdown(ctx))
	}
	return t, nil
}

// Shutdown exports what is left and stops, within FlushTimeout. It works also
// where ctx has ended already: that is when it is called. After it returns
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

func newResource(ctx context.Context, version string) (*resource.Resource, error) {
	attributes := []resource.Option{
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		resource.WithAttributes(semconv.ServiceName(ServiceName)),
	}
	if version != "" {
		attributes = append(attributes, resource.WithAttributes(semconv.ServiceVersion(version)))
	}
	res, err := resource.New(ctx, append(attributes, resource.WithFromEnv())...) // the last one wins
	if err != nil {
		return nil, fmt.Errorf("telemetry: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return res, nil
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

// asked tells whether the environment asks for the export of a signal. The
// specification's default is OTLP to localhost, which would fail on most
// machines for ever.
func asked(signal string) bool {
	if exporter := os.Getenv("OTEL_" + signal + "_EXPORTER"); exporter != "" {
		return exporter != "none"
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
}
