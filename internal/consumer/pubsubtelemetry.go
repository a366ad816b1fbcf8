package consumer

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/northstar-engines/realtime-registry/internal/observe"
)

// observe reports what the Pub/Sub transport looks up when metrics are
// collected, until stop is called; the package comment lists it.
func (p *PubSub) observe() (stop func(), err error) {
	i := observe.Providers{MeterProvider: p.opts.MeterProvider}.Instruments(scope)
	of := observe.Label{Name: "subscription"}
	streams := i.Gauge("registry.pubsub.streams.connected", "{stream}", "StreamingPull streams on which Pub/Sub answers, by subscription.", of)
	unconfirmed := i.Gauge("registry.pubsub.acks.unconfirmed", "{message}", "Acknowledgements that Pub/Sub has not confirmed yet, by subscription.", of)
	age := i.FloatGauge("registry.pubsub.answer.age", "s", "Since the last good answer of Pub/Sub to anything.")
	bad := i.Gauge("registry.pubsub.faults", "{fault}", "Subscriptions and topics that are not as the worker needs them.")
	stop = i.Collect(func(_ context.Context, o metric.Observer) {
		o.ObserveInt64(bad, p.looked.count())
		if p.contact == nil {
			return
		}
		now := time.Now()
		o.ObserveFloat64(age, p.contact.silence(now).Seconds())
		for name, s := range p.contact.states(now) {
			by := metric.WithAttributes(attribute.String(of.Name, shortName(name)))
			o.ObserveInt64(streams, int64(s.streams), by)
			o.ObserveInt64(unconfirmed, s.unconfirmed, by)
		}
	}, streams, unconfirmed, age, bad)
	return stop, i.Err()
}
