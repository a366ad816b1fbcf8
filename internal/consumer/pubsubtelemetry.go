package consumer

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// pubsubTelemetry is what the Pub/Sub transport emits; the package comment lists
// it.
type pubsubTelemetry struct{ registration metric.Registration }

func newPubSubTelemetry(meters metric.MeterProvider, p *PubSub) (*pubsubTelemetry, error) {
	if meters == nil {
		return &pubsubTelemetry{}, nil
	}
	m := meters.Meter(scope)
	var faults [5]error
	var streams, unconfirmed, bad metric.Int64ObservableGauge
	var age metric.Float64ObservableGauge
	streams, faults[0] = m.Int64ObservableGauge("registry.pubsub.streams.connected",
		metric.WithDescription("StreamingPull streams that are connected, by subscription."))
	unconfirmed, faults[1] = m.Int64ObservableGauge("registry.pubsub.acks.unconfirmed",
		metric.WithDescription("Acknowledgements that Pub/Sub has not confirmed yet, by subscription."))
	age, faults[2] = m.Float64ObservableGauge("registry.pubsub.answer.age", metric.WithUnit("s"),
		metric.WithDescription("Since the last good answer of Pub/Sub to anything."))
	bad, faults[3] = m.Int64ObservableGauge("registry.pubsub.faults",
		metric.WithDescription("Subscriptions and topics that are not as the worker needs them."))
	t := &pubsubTelemetry{}
	t.registration, faults[4] = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(bad, p.looked.count())
		if p.contact == nil {
			return nil
		}
		now := time.Now()
		o.ObserveFloat64(age, p.contact.silence(now).Seconds())
		for name, s := range p.contact.states(now) {
			by := metric.WithAttributes(attribute.String("subscription", shortName(name)))
			o.ObserveInt64(streams, int64(s.streams), by)
			o.ObserveInt64(unconfirmed, s.unconfirmed, by)
		}
		return nil
	}, streams, unconfirmed, age, bad)
	return t, errors.Join(faults[:]...)
}

func (t *pubsubTelemetry) close() {
	if t.registration != nil {
		_ = t.registration.Unregister() // fails only if it was unregistered before
	}
}
