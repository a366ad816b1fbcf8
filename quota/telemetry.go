package quota

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

const scope = "github.com/northstar-engines/realtime-registry/quota"

// outcome is what became of a request.
type outcome int

const (
	allowed     outcome = iota
	refused             // the window had not so many units
	shadowed            // would have been refused; the policy is a shadow
	failedOpen          // let through while the store was down
	unavailable         // ErrUnavailable
	abandoned           // the caller went while it waited
	invalid             // ErrInvalid
	outcomes
)

var outcomeNames = [outcomes]string{"allowed", "refused", "shadowed", "failed_open", "unavailable", "abandoned", "invalid"}

// tally is decisions by outcome. It is counted under the lock that the decision
// takes anyway: a counter shared by all cores would cost as much again.
type tally [outcomes]int64

// countLocked counts n decisions of an action.
func (s *shard) countLocked(label uint16, o outcome, n int64) {
	for len(s.tallies) <= int(label) {
		s.tallies = append(s.tallies, tally{})
	}
	s.tallies[label][o] += n
}

// telemetry holds the instruments that the package comment lists.
type telemetry struct {
	tracer          trace.Tracer
	policies        *livePolicies
	callDuration    metric.Float64Histogram
	unitsReserved   metric.Int64Counter
	unitsReleased   metric.Int64Counter
	unitsStranded   metric.Int64Counter
	nearLimit       metric.Int64Counter
	policiesRefused metric.Int64Counter
}

func newTelemetry(l *Limiter) (*telemetry, error) {
	meter := l.options.MeterProvider.Meter(scope)
	t := &telemetry{tracer: l.options.TracerProvider.Tracer(scope), policies: &l.policies}
	units, description := metric.WithUnit("{unit}"), metric.WithDescription
	var errs [10]error
	t.callDuration, errs[0] = meter.Float64Histogram("quota.store.duration", metric.WithUnit("s"),
		metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5),
		description("Calls of the throttle's store, by operation and outcome."))
	t.unitsReserved, errs[1] = meter.Int64Counter("quota.units.reserved", units,
		description("Units reserved in the store, by action."))
	t.unitsReleased, errs[2] = meter.Int64Counter("quota.units.released", units,
		description("Units released to the store."))
	t.unitsStranded, errs[3] = meter.Int64Counter("quota.units.stranded", units,
		description("Units that were reserved, or perhaps reserved, and can be spent by nobody, by action."))
	t.nearLimit, errs[4] = meter.Int64Counter("quota.near_limit", metric.WithUnit("{window}"),
		description("Windows of which more than four fifths were reserved, by action."))
	t.policiesRefused, errs[5] = meter.Int64Counter("quota.policies.refused", metric.WithUnit("{policy}"),
		description("Policy files and documents that were bad, so that the last good one stays in force."))
	_, errs[6] = meter.Int64ObservableCounter("quota.decisions", metric.WithUnit("{decision}"),
		description("Requests, by action and outcome."), metric.WithInt64Callback(l.observeDecisions))
	_, errs[7] = meter.Int64ObservableGauge("quota.keys", metric.WithUnit("{key}"),
		description("Tenants and actions in memory."), metric.WithInt64Callback(l.observeKeys))
	_, errs[8] = meter.Int64ObservableGauge("quota.listener.connected", metric.WithUnit("{listener}"),
		description("1 while resets and policies are told as they happen, else 0."), metric.WithInt64Callback(l.observeListener))
	_, errs[9] = meter.Int64ObservableGauge("quota.tenants.crowded", metric.WithUnit("{tenant}"),
		description("Tenants with a hundred live actions and more in this process."), metric.WithInt64Callback(l.observeCrowded))
	return t, errors.Join(errs[:]...)
}

func (l *Limiter) observeDecisions(_ context.Context, o metric.Int64Observer) error {
	names := l.policies.labelNames()
	totals := make([]tally, len(names))
	for i := range l.table.shards {
		s := &l.table.shards[i]
		s.mu.Lock()
		for label, t := range s.tallies[:min(len(s.tallies), len(names))] {
			for outcome, n := range t {
				totals[label][outcome] += n
			}
		}
		s.mu.Unlock()
	}
	for label, t := range totals {
		for outcome, n := range t {
			if n > 0 {
				o.Observe(n, metric.WithAttributes(
					attribute.String("action", names[label]), attribute.String("outcome", outcomeNames[outcome])))
			}
		}
	}
	return nil
}

func (l *Limiter) observeListener(_ context.Context, o metric.Int64Observer) error {
	o.Observe(l.listening.Connected())
	return nil
}

func (l *Limiter) observeKeys(_ context.Context, o metric.Int64Observer) error {
	keys := 0
	for i := range l.table.shards {
		s := &l.table.shards[i]
		s.mu.Lock()
		keys += s.n
		s.mu.Unlock()
	}
	o.Observe(int64(keys))
	return nil
}

func (l *Limiter) observeCrowded(_ context.Context, o metric.Int64Observer) error {
	o.Observe(l.census.crowded.Load())
	return nil
}

var callNames = [...]string{load: "load", reserve: "reserve", release: "release"}

// called records a call of the store.
func (t *telemetry) called(ctx context.Context, c call, took time.Duration, err error) {
	result := "ok"
	switch {
	case errors.Is(err, ErrConflict):
		result = "conflict"
	case err != nil:
		result = "error"
	case c.kind == release:
		t.unitsReleased.Add(ctx, int64(c.units))
	}
	t.callDuration.Record(ctx, took.Seconds(), metric.WithAttributes(
		attribute.String("operation", callNames[c.kind]), attribute.String("outcome", result)))
}

// reserved records a reservation that was obtained. Those of one window follow
// each other, so exactly one of them passes the four fifths, in one process.
func (t *telemetry) reserved(label uint16, c call) {
	ctx, action := context.Background(), t.action(label)
	t.unitsReserved.Add(ctx, int64(c.units), action)
	near := c.window.Limit * 4 / 5
	if after := c.window.Count; after > near && after-int64(c.units) <= near {
		t.nearLimit.Add(ctx, 1, action)
	}
}

func (t *telemetry) stranded(label uint16, units int32) {
	if units > 0 {
		t.unitsStranded.Add(context.Background(), int64(units), t.action(label))
	}
}

func (t *telemetry) action(label uint16) metric.MeasurementOption {
	return metric.WithAttributes(attribute.String("action", t.policies.labelNames()[label]))
}
