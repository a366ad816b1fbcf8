// Package observe is the plumbing of what the packages of this module emit: where
// logs, metrics and traces go (Providers), instruments whose series exist before
// anything has happened (Instruments), and log lines that a flood cannot
// multiply (LimitedLog).
//
// Names follow OpenTelemetry: metrics are dotted, labels are short words with few
// values. A label whose values are known is declared with all of them, so that
// its counters start at 0: a rate or an increase sees the first dead letter only
// if there was a zero before it.
package observe

import (
	"log/slog"

	"go.opentelemetry.io/otel/metric"
	noopmetric "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	nooptrace "go.opentelemetry.io/otel/trace/noop"
)

// Providers is where a package's telemetry goes. The zero Providers drop
// everything.
type Providers struct {
	Logger         *slog.Logger         // nil: no log
	MeterProvider  metric.MeterProvider // nil: no metrics
	TracerProvider trace.TracerProvider // nil: no traces
}

// OrNoop returns the providers with those that are nil replaced by ones that drop
// what they are given.
func (p Providers) OrNoop() Providers {
	if p.Logger == nil {
		p.Logger = slog.New(slog.DiscardHandler)
	}
	if p.MeterProvider == nil {
		p.MeterProvider = noopmetric.NewMeterProvider()
	}
	if p.TracerProvider == nil {
		p.TracerProvider = nooptrace.NewTracerProvider()
	}
	return p
}
