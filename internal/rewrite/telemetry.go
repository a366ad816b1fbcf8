package rewrite

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

const scope = "github.com/northstar-engines/realtime-registry/internal/rewrite"

// telemetry emits what the package comment lists.
type telemetry struct {
	documents metric.Int64Counter
	jobs      metric.Int64Counter
	lag       metric.Float64Histogram
	remaining atomic.Int64
}

func newTelemetry(meters metric.MeterProvider) (*telemetry, error) {
	if meters == nil {
		meters = noop.NewMeterProvider()
	}
	m, t := meters.Meter(scope), &telemetry{}
	var err error
	if t.documents, err = m.Int64Counter("registry.rewriting.documents",
		metric.WithUnit("{document}"), metric.WithDescription("Documents read and written after moves of whole tenants.")); err != nil {
		return nil, err
	}
	if t.jobs, err = m.Int64Counter("registry.rewriting.jobs",
		metric.WithUnit("{job}"), metric.WithDescription("Jobs of rewriting that this process has left, by how.")); err != nil {
		return nil, err
	}
	if t.lag, err = m.Float64Histogram("registry.rewriting.lag",
		metric.WithUnit("s"), metric.WithDescription("Time from a change of the ledger to the end of its rewriting."),
		metric.WithExplicitBucketBoundaries(1, 5, 10, 20, 30, 60, 300, 900, 1800, 3600, 10800)); err != nil {
		return nil, err
	}
	_, err = m.Int64ObservableGauge("registry.rewriting.remaining",
		metric.WithUnit("{document}"), metric.WithDescription("Documents that this process's pass has still to visit."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(t.remaining.Load())
			return nil
		}))
	return t, err
}

func (t *telemetry) at(remaining int64) { t.remaining.Store(remaining) }

func (t *telemetry) read(ctx context.Context, n int) {
	t.documents.Add(ctx, int64(n), metric.WithAttributes(attribute.String("operation", "read")))
}

func (t *telemetry) written(ctx context.Context, written int) {
	t.documents.Add(ctx, int64(written), metric.WithAttributes(attribute.String("operation", "write")))
}

func (t *telemetry) ended(outcome string, job ownership.Job) {
	ctx := context.Background()
	t.at(0)
	t.jobs.Add(ctx, 1, metric.WithAttributes(attribute.String("outcome", outcome)))
	if outcome == "done" {
		t.lag.Record(ctx, job.Now.Sub(job.Entry.Rewriting.CommittedAt).Seconds())
	}
}
