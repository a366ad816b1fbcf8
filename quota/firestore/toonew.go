package firestore

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"golang.org/x/time/rate"
)

const scope = "github.com/northstar-engines/realtime-registry/quota/firestore"

// tooNewTelling counts and tells of documents that are not understood: ten lines
// at once, then one every ten seconds.
type tooNewTelling struct {
	counter    metric.Int64Counter // quota.too_new
	limiter    *rate.Limiter
	suppressed atomic.Int64
}

func (t *tooNewTelling) init(meters metric.MeterProvider) (err error) {
	if meters == nil {
		meters = metricnoop.NewMeterProvider()
	}
	t.limiter = rate.NewLimiter(0.1, 10)
	t.counter, err = meters.Meter(scope).Int64Counter("quota.too_new",
		metric.WithDescription("How often a window or a reset was met that this version does not understand."))
	return err
}

// tooNew counts and tells an error of understood, if there is one, and returns
// it.
func (s *Store) tooNew(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	t := &s.unread
	t.counter.Add(ctx, 1)
	if !t.limiter.Allow() {
		t.suppressed.Add(1)
		return err
	}
	s.logger.ErrorContext(ctx, "a throttle window is not understood, and left alone", "error", err, "suppressed", t.suppressed.Swap(0))
	return err
}
