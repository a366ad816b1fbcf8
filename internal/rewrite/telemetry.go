package rewrite

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel/metric"

	"github.com/northstar-engines/realtime-registry/internal/observe"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

const scope = "github.com/northstar-engines/realtime-registry/internal/rewrite"

// telemetry emits what the package comment lists.
type telemetry struct {
	documents *observe.Counter
	jobs      *observe.Counter
	lag       *observe.Histogram
	remaining atomic.Int64
}

func newTelemetry(p observe.Providers) (*telemetry, error) {
	i := p.Instruments(scope)
	t := &telemetry{
		documents: i.Counter("registry.rewriting.documents", "{document}",
			"Documents read and written after moves of whole tenants, by operation.", observe.Values("operation", "read", "write")),
		jobs: i.Counter("registry.rewriting.jobs", "{job}",
			"Jobs of rewriting that this process has left, by outcome.", observe.Values("outcome", done, leaseLost, tooNew, panicked, interrupted, failed, parked)),
		lag: i.Histogram("registry.rewriting.lag", "s", "Time from a change of the ledger to the end of its rewriting.",
			[]float64{1, 5, 10, 20, 30, 60, 300, 900, 1800, 3600, 10800}),
	}
	remaining := i.Gauge("registry.rewriting.remaining", "{document}", "Documents that this process's passes have still to visit.")
	i.Collect(func(_ context.Context, o metric.Observer) { o.ObserveInt64(remaining, t.remaining.Load()) }, remaining)
	return t, i.Err()
}

func (t *telemetry) at(remaining int64) { t.remaining.Store(remaining) }

func (t *telemetry) read(ctx context.Context, n int) { t.documents.Add(ctx, int64(n), "read") }

func (t *telemetry) written(ctx context.Context, n int) { t.documents.Add(ctx, int64(n), "write") }

func (t *telemetry) ended(outcome string, job ownership.Job) {
	ctx := context.Background()
	t.at(0)
	t.jobs.Add(ctx, 1, outcome)
	if outcome == done {
		t.lag.Record(ctx, job.Now.Sub(job.Entry.Rewriting.CommittedAt).Seconds())
	}
}
