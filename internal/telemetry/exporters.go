package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/northstar-engines/realtime-registry/internal/redact"
)

// Check returns what of the environment's wishes about telemetry cannot be
// followed, as New would; nil if all can. It makes no connection, and listens
// nowhere.
func Check(ctx context.Context) error {
	if disabled() {
		return nil
	}
	var told faults
	listenToSDK(told.add)
	_, err := readPairs()
	told.add(err)
	traces, err := newSpanExporter(ctx)
	if traces != nil {
		_ = traces.Shutdown(ctx) // it has nothing to send
	}
	told.add(err)
	if os.Getenv("OTEL_METRICS_EXPORTER") != "prometheus" { // that would listen
		metrics, err := newMetricReader(ctx)
		if metrics != nil {
			_ = metrics.Shutdown(ctx)
		}
		told.add(err)
	}
	return errors.Join(told...)
}

// newMetricReader returns the exporter of metrics beside Telemetry.Metrics that
// the environment asks for; nil if there is none.
func newMetricReader(ctx context.Context) (sdkmetric.Reader, error) {
	return export(ctx, "METRICS", func(ctx context.Context) (sdkmetric.Reader, error) { return autoexport.NewMetricReader(ctx) })
}

// newSpanExporter is newMetricReader for traces.
func newSpanExporter(ctx context.Context) (sdktrace.SpanExporter, error) {
	return export(ctx, "TRACES", func(ctx context.Context) (sdktrace.SpanExporter, error) { return autoexport.NewSpanExporter(ctx) })
}

func export[T any](ctx context.Context, signal string, open func(context.Context) (T, error)) (none T, _ error) {
	if !asked(signal) {
		return none, nil
	}
	if err := checkEndpoint(signal); err != nil {
		return none, err
	}
	exporter, err := open(ctx)
	if err != nil {
		name := "OTEL_" + signal + "_EXPORTER"
		return none, fmt.Errorf("telemetry: %s=%q: %w", name, os.Getenv(name), err)
	}
	return exporter, nil
}

// checkEndpoint refuses an endpoint that the exporters take without a word and
// export nothing to: of localhost:4318 they make a URL whose scheme is localhost.
func checkEndpoint(signal string) error {
	if exporter := os.Getenv("OTEL_" + signal + "_EXPORTER"); exporter != "" && exporter != "otlp" {
		return nil
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_" + signal + "_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"} {
		value := os.Getenv(name)
		if value == "" {
			continue
		}
		if u, err := url.Parse(value); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("telemetry: %s=%q: want a URL such as http://localhost:4318, with http:// or https://", name, redact.Text(value))
		}
		return nil // the one for the signal wins
	}
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
