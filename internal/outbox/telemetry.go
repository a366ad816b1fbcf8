package outbox

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/metric"

	"github.com/northstar-engines/realtime-registry/internal/observe"
)

const scope = "github.com/northstar-engines/realtime-registry/internal/outbox"

// Who brought an event into the log.
const (
	byCommit = "commit" // the process that stored it
	bySweep  = "sweep"
)

type telemetry struct {
	published, failures *observe.Counter
	log                 *observe.LimitedLog
	stop                func()
}

func newTelemetry(p *Publisher, providers observe.Providers) (*telemetry, error) {
	providers = providers.OrNoop()
	i := providers.Instruments(scope)
	by := observe.Values("by", byCommit, bySweep)
	waiting := i.Gauge("registry.outbox.waiting", "{event}",
		"Claims, retractions and operators' moves that have waited in the outbox for more than a minute, as of the last sweep by any process.")
	age := i.FloatGauge("registry.outbox.age", "s",
		"How long the oldest of them had waited, as of the last sweep by any process; 0 if none waited.")
	t := &telemetry{
		published: i.Counter("registry.log.published", "{event}",
			"Claims, retractions and operators' moves that the topic of the registry's log has confirmed, by who published them: the process that stored them (commit), or a sweep of the outbox.", by),
		failures: i.Counter("registry.log.failures", "{event}",
			"Claims, retractions and operators' moves that the topic of the registry's log did not take; they stay in the outbox.", by),
		log: observe.NewLimitedLog(providers.Logger, .1, 3),
	}
	t.stop = i.Collect(func(_ context.Context, o metric.Observer) {
		if state := p.state.Load(); state != nil {
			o.ObserveInt64(waiting, state.Waiting)
			o.ObserveFloat64(age, state.Age().Seconds())
		}
	}, waiting, age)
	return t, i.Err()
}

func (t *telemetry) count(ctx context.Context, by string, published, failed int) {
	t.published.Add(ctx, int64(published), by)
	t.failures.Add(ctx, int64(failed), by)
}

func (t *telemetry) failed(ctx context.Context, message string, err error) {
	t.log.Write(ctx, message, slog.LevelWarn, message, slog.Any("error", err))
}
