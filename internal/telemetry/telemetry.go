// Package telemetry sets OpenTelemetry and the log up, and shuts them down.
//
// What it emits, and where to:
//
//   - Metrics are always to be had in Prometheus text from Telemetry.Metrics,
//     with those of the Go runtime and of the process. They are pushed besides
//     if OTEL_METRICS_EXPORTER or an OTLP endpoint asks for it.
//   - Traces are exported if OTEL_TRACES_EXPORTER or an OTLP endpoint asks
//     for it, else not made at all: nothing is spent on spans that are not exported.
//     Trace ids of callers reach the log all the same.
//   - The log goes to one writer, in one of three forms (see NewLogger).
//
// The environment variables are those of the OpenTelemetry specification:
// OTEL_SDK_DISABLED, OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES (they win
// over what newResource says), the exporters', the samplers'. With
// OTEL_METRICS_EXPORTER=prometheus nothing is added to Telemetry.Metrics, unless
// OTEL_EXPORTER_PROMETHEUS_HOST or _PORT asks for a server of its own.
//
// No service stands still for its telemetry. A variable that cannot be followed
// is an error of New, which sets up all the rest; Check finds such a variable
// before a service is started. An exporter that cannot export is logged as a
// warning, each minute. The metrics registry.telemetry.faults and
// registry.telemetry.failures count both.
//
// Nothing global is set but the handlers of OpenTelemetry's own errors, which
// have no other place.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/northstar-engines/realtime-registry/internal/observe"
)

// ServiceName is the service.name of everything that is exported, unless
// OTEL_SERVICE_NAME says otherwise.
const ServiceName = "realtime-registry"

// FlushTimeout bounds Shutdown: a collector that does not answer must not keep
// a drained process alive.
const FlushTimeout = 5 * time.Second

// How often a failing exporter is logged: at once, and then each minute.
const (
	failuresAtOnce    = 3
	failuresPerSecond = 1. / 60
)

// Options says what to set up. The zero Options are fit for use.
type Options struct {
	Version string       // service.version; empty: none
	Logger  *slog.Logger // for OpenTelemetry's own errors too; nil: they are dropped
}

// Telemetry is what a process gives to its parts. Every field is set.
type Telemetry struct {
	observe.Providers
	Propagator propagation.TextMapPropagator // W3C trace context and baggage
	Metrics    http.Handler                  // Prometheus text
	Gatherer   prometheus.Gatherer           // the same, unwritten

	failures atomic.Int64 // of exporters
	faults   atomic.Int64 // variables that cannot be followed
	shutdown []func(context.Context) error
}

// New sets telemetry up as the environment asks for. It can be used whatever the
// error is, which lists what cannot be done as asked.
func New(ctx context.Context, o Options) (*Telemetry, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	t := &Telemetry{
		Providers:  observe.Providers{Logger: o.Logger}.OrNoop(),
		Propagator: propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
	}
	o.Logger = t.Logger
	t.Gatherer = registry
	t.Metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, // the other metrics can be had
		ErrorLog:      slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
	})
	if disabled() {
		return t, nil
	}
	var told faults
	listenToSDK(told.add)
	res, err := newResource(ctx, o)
	told.add(err)
	told.add(t.addTraces(ctx, res))
	told.add(t.addMetrics(ctx, res, registry))
	t.faults.Store(int64(len(told)))
	t.logFailures()
	return t, errors.Join(told...)
}

// faults are what cannot be followed, each once: traces and metrics share variables.
type faults []error

func (f *faults) add(err error) {
	same := func(other error) bool { return other.Error() == err.Error() }
	if err != nil && !slices.ContainsFunc(*f, same) {
		*f = append(*f, err)
	}
}

func disabled() bool { return strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") }

// logFailures logs and counts what OpenTelemetry's SDK says from now on: that
// something could not be exported.
func (t *Telemetry) logFailures() {
	log := observe.NewLimitedLog(t.Logger, failuresPerSecond, failuresAtOnce)
	listenToSDK(func(err error) {
		t.failures.Add(1)
		log.Write(context.Background(), "", slog.LevelWarn, "telemetry was not exported", slog.Any("error", err))
	})
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

// addMetrics exports metrics to the registry, and to where the environment asks
// for. The error is of the latter, if it is not of the former.
func (t *Telemetry) addMetrics(ctx context.Context, res *resource.Resource, registry *prometheus.Registry) error {
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return fmt.Errorf("telemetry: prometheus: %w", err)
	}
	options := []sdkmetric.Option{sdkmetric.WithResource(res), sdkmetric.WithReader(exporter)}
	reader, unfit := newMetricReader(ctx)
	if reader != nil {
		options = append(options, sdkmetric.WithReader(reader))
	}
	provider := sdkmetric.NewMeterProvider(options...)
	t.MeterProvider = provider
	t.shutdown = append(t.shutdown, provider.Shutdown)
	return errors.Join(unfit, Observe(t.Providers, func() (int64, int64) { return t.faults.Load(), t.failures.Load() }))
}

// Observe makes the metrics of telemetry itself: how many variables cannot be
// followed, and how often something was not exported.
func Observe(p observe.Providers, count func() (faults, failures int64)) error {
	i := p.Instruments("github.com/northstar-engines/realtime-registry/internal/telemetry")
	faults := i.Gauge("registry.telemetry.faults", "{fault}", "Variables of telemetry that cannot be followed; the log says which, at the start.")
	failures := i.Total("registry.telemetry.failures", "{failure}", "Failures to export telemetry.")
	i.Collect(func(_ context.Context, o metric.Observer) {
		unfit, failed := count()
		o.ObserveInt64(faults, unfit)
		o.ObserveInt64(failures, failed)
	}, faults, failures)
	return i.Err()
}

func (t *Telemetry) addTraces(ctx context.Context, res *resource.Resource) error {
	exporter, err := newSpanExporter(ctx)
	if exporter == nil {
		return err
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(res), sdktrace.WithBatcher(exporter))
	t.TracerProvider = provider
	t.shutdown = append(t.shutdown, provider.Shutdown)
	return err
}
