package api

import (
	"context"
	"errors"
	"os"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/northstar-engines/realtime-registry/registry"
)

// watching is what is told of watches.
type watching struct {
	open, resources atomic.Int64
	events, ended   *labelled
}

func newWatching(o Options) (*watching, error) {
	meter := o.MeterProvider.Meter(scope)
	w := &watching{}
	var events, ended metric.Int64Counter
	var errs [4]error
	events, errs[0] = meter.Int64Counter("registry.watch.events", metric.WithUnit("{event}"),
		metric.WithDescription("Events sent to the clients of watches, by event."))
	ended, errs[1] = meter.Int64Counter("registry.watch.ended", metric.WithUnit("{watch}"),
		metric.WithDescription("Watches that have ended, by reason."))
	_, errs[2] = meter.Int64ObservableGauge("registry.watch.open", metric.WithUnit("{watch}"),
		metric.WithDescription("Watches that are open."), observe(&w.open))
	_, errs[3] = meter.Int64ObservableGauge("registry.watch.resources", metric.WithUnit("{resource}"),
		metric.WithDescription("Resources in the watches that are open."), observe(&w.resources))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	w.events = newLabelled(events, "event", "state", "certified", "lost", "uncertain", "closing")
	w.ended = newLabelled(ended, "reason", clientGone, clientSlow, drained, lifeOver, stoodOff, revoked, stopped)
	return w, nil
}

// labelled is a counter by one label, whose values begin at 0, so that the first
// of a kind raises an alert too.
type labelled struct {
	counter metric.Int64Counter
	by      map[string]metric.AddOption
}

func newLabelled(counter metric.Int64Counter, label string, values ...string) *labelled {
	l := &labelled{counter, map[string]metric.AddOption{}}
	for _, value := range values {
		l.by[value] = metric.WithAttributeSet(attribute.NewSet(attribute.String(label, value)))
		l.add(value, 0)
	}
	return l
}

func (l *labelled) add(value string, n int64) { l.counter.Add(context.Background(), n, l.by[value]) }

// Why watches end.
const (
	clientGone = "client_gone" // it closed the connection, or that broke
	clientSlow = "not_read"    // it did not read, and was cut off
	drained    = "drained"     // the server drains
	lifeOver   = "life_over"   // it lasted for an hour
	stoodOff   = "stood_still" // the machine was suspended, or its clock was set
	revoked    = "revoked"     // its token is demanded no more
	stopped    = "stopped"     // the verifier has ended
)

func endOf(err error) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return clientSlow
	case errors.Is(err, errShutdown):
		return drained
	case errors.Is(err, errLifeOver):
		return lifeOver
	case errors.Is(err, errStoodOff):
		return stoodOff
	case errors.Is(err, errRevoked):
		return revoked
	case errors.Is(err, registry.ErrUnavailable):
		return stopped
	}
	return clientGone
}

func observe(n *atomic.Int64) metric.Int64ObservableGaugeOption {
	return metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(n.Load())
		return nil
	})
}
