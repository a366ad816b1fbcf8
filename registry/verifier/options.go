package verifier

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// Options of a Verifier. The zero value is ready for use.
type Options struct {
	// MissGrace holds every refusal back for so long and reads again meanwhile:
	// for create flows that publish an event and do not claim. Default 0: a
	// refusal is said at once.
	MissGrace time.Duration

	// Timeout bounds one read of the store, and what a check waits for one,
	// whatever its own deadline is. Default 5 s.
	Timeout time.Duration

	// MaxReads is the number of reads under way at once. Checks that come while
	// all are busy share the next one, up to a hundred resources a read.
	// Default 16.
	MaxReads int

	// MaxWaiting is the number of checks that wait for a read, or are in one,
	// at once. Those above it are ErrUnavailable immediately: an overloaded
	// store should not be waited for by everybody. Default 10,000.
	MaxWaiting int

	// Where telemetry goes. Default: nowhere.
	Logger         *slog.Logger
	MeterProvider  metric.MeterProvider
	TracerProvider trace.TracerProvider
}

// Validate returns every fault of the options, joined; nil where there is none.
func (o Options) Validate() error {
	var faults []error
	if o.MissGrace < 0 {
		faults = append(faults, fmt.Errorf("option MissGrace is %v: must not be negative", o.MissGrace))
	}
	if o.Timeout < 0 {
		faults = append(faults, fmt.Errorf("option Timeout is %v: must not be negative", o.Timeout))
	}
	if o.MaxReads < 0 {
		faults = append(faults, fmt.Errorf("option MaxReads is %d: must not be negative", o.MaxReads))
	}
	if o.MaxWaiting < 0 {
		faults = append(faults, fmt.Errorf("option MaxWaiting is %d: must not be negative", o.MaxWaiting))
	}
	return errors.Join(faults...)
}

func (o Options) withDefaults() Options {
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.MaxReads == 0 {
		o.MaxReads = 16
	}
	if o.MaxWaiting == 0 {
		o.MaxWaiting = 10_000
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MeterProvider == nil {
		o.MeterProvider = metricnoop.NewMeterProvider()
	}
	if o.TracerProvider == nil {
		o.TracerProvider = tracenoop.NewTracerProvider()
	}
	return o
}
