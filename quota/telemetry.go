package quota

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/internal/observe"
)

const scope = "github.com/northstar-engines/realtime-registry/quota"

// outcome is what became of a request.
type outcome int

const (
	allowed      outcome = iota
	refused              // the window had not so many units
	refusedEarly         // too many processes write the window's document
	shadowed             // would have been refused; the policy is a shadow
	failedOpen           // let through while the store was down
	unavailable          // ErrUnavailable
	abandoned            // the caller left while it waited
	invalid              // ErrInvalid
	outcomes
)

var outcomeNames = [outcomes]string{"allowed", "refused", "refused_early", "shadowed", "failed_open", "unavailable", "abandoned", "invalid"}

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

// telemetry holds the instruments documented in the package comment.
type telemetry struct {
	tracer          trace.Tracer
	policies        *livePolicies
	callDuration    *observe.Histogram
	unitsReserved   *observe.Counter
	unitsReleased   *observe.Counter
	unitsStranded   *observe.Counter
	nearLimit       *observe.Counter
	policiesRefused *observe.Counter
}

func newTelemetry(l *Limiter) (*telemetry, error) {
	p := observe.Providers{MeterProvider: l.options.MeterProvider, TracerProvider: l.options.TracerProvider}.OrNoop()
	i := p.Instruments(scope)
	action := observe.Label{Name: "action"}
	t := &telemetry{
		tracer:   p.TracerProvider.Tracer(scope),
		policies: &l.policies,
		callDuration: i.Histogram("quota.store.duration", "s", "Calls of the throttle's store, by operation and outcome.",
			[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
			observe.Values("operation", callNames[:]...), observe.Values("outcome", "ok", "conflict", "error")),
		unitsReserved: i.Counter("quota.units.reserved", "{unit}", "Units reserved in the store, by action.", action),
		unitsReleased: i.Counter("quota.units.released", "{unit}", "Units released to the store."),
		unitsStranded: i.Counter("quota.units.stranded", "{unit}",
			"Units that were reserved, or perhaps reserved, and cannot be spent any more, by action.", action),
		nearLimit: i.Counter("quota.near_limit", "{window}", "Windows of which more than four fifths were reserved, by action.", action),
		policiesRefused: i.Counter("quota.policies.refused", "{policy}",
			"Policy files and documents that were bad, so that the last good one stays in force."),
	}
	t.startAt0()
	decisions := i.Total("quota.decisions", "{decision}", "Requests, by action and outcome.", action, observe.Values("outcome", outcomeNames[:]...))
	keys := i.Gauge("quota.keys", "{key}", "Tenants and actions in memory.")
	connected := i.Gauge("quota.listener.connected", "{listener}", "1 while resets and policies are told as they happen, else 0.")
	crowded := i.Gauge("quota.tenants.crowded", "{tenant}", "Tenants with a hundred live actions and more in this process.")
	i.Collect(func(_ context.Context, o metric.Observer) {
		l.observeDecisions(o, decisions)
		o.ObserveInt64(keys, int64(l.keys()))
		o.ObserveInt64(connected, l.listening.Connected())
		o.ObserveInt64(crowded, l.census.crowded.Load())
	}, decisions, keys, connected, crowded)
	return t, i.Err()
}

// startAt0 makes the counters of the known actions exist.
func (t *telemetry) startAt0() {
	for _, name := range t.policies.labelNames() {
		for _, c := range []*observe.Counter{t.unitsReserved, t.unitsStranded, t.nearLimit} {
			c.Add(context.Background(), 0, name)
		}
	}
}

func (l *Limiter) observeDecisions(o metric.Observer, decisions metric.Int64Observable) {
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
			o.ObserveInt64(decisions, n, metric.WithAttributes(
				attribute.String("action", names[label]), attribute.String("outcome", outcomeNames[outcome])))
		}
	}
}

// keys is how many keys are in memory.
func (l *Limiter) keys() (keys int) {
	for i := range l.table.shards {
		s := &l.table.shards[i]
		s.mu.Lock()
		keys += s.n
		s.mu.Unlock()
	}
	return keys
}

var callNames = [...]string{load: "load", reserve: "reserve", release: "release"}

// called records a call of the store.
func (t *telemetry) called(ctx context.Context, c call, took time.Duration, err error) {
	result := "ok"
	switch {
	case errors.Is(err, limits.ErrConflict):
		result = "conflict"
	case err != nil:
		result = "error"
	case c.kind == release:
		t.unitsReleased.Add(ctx, int64(c.units))
	}
	t.callDuration.Record(ctx, took.Seconds(), callNames[c.kind], result)
}

// reserved records a reservation that was obtained. Those of one window follow
// each other, so exactly one of them passes the four fifths, in one process.
func (t *telemetry) reserved(label uint16, c call) {
	ctx, action := context.Background(), t.action(label)
	t.unitsReserved.Add(ctx, int64(c.units), action)
	near := c.window.Limit * 4 / 5
	if after := c.window.Count; c.part == 0 && after > near && after-c.aside-int64(c.units) <= near {
		t.nearLimit.Add(ctx, 1, action)
	}
}

func (t *telemetry) stranded(label uint16, units int32) {
	if units > 0 {
		t.unitsStranded.Add(context.Background(), int64(units), t.action(label))
	}
}

func (t *telemetry) action(label uint16) string { return t.policies.labelNames()[label] }
