package api

import (
	"context"
	"errors"
	"os"
	"sync/atomic"

	"go.opentelemetry.io/otel/metric"

	"github.com/northstar-engines/realtime-registry/internal/observe"
	"github.com/northstar-engines/realtime-registry/registry"
)

// watching has the telemetry of watches.
type watching struct {
	open, resources atomic.Int64
	events, ended   *observe.Counter
}

func newWatching(o Options) (*watching, error) {
	i := observe.Providers{MeterProvider: o.MeterProvider}.Instruments(scope)
	w := &watching{
		events: i.Counter("registry.watch.events", "{event}", "Events sent to the clients of watches, by event.",
			observe.Values("event", "state", "certified", "lost", "uncertain", "closing")),
		ended: i.Counter("registry.watch.ended", "{watch}", "Watches that have ended, by reason.",
			observe.Values("reason", clientGone, clientSlow, drained, lifeOver, stoodOff, revoked, stopped)),
	}
	open := i.Gauge("registry.watch.open", "{watch}", "Watches that are open.")
	resources := i.Gauge("registry.watch.resources", "{resource}", "Resources in the watches that are open.")
	i.Collect(func(_ context.Context, o metric.Observer) {
		o.ObserveInt64(open, w.open.Load())
		o.ObserveInt64(resources, w.resources.Load())
	}, open, resources)
	return w, i.Err()
}

// The reasons why watches end.
const (
	clientGone = "client_gone" // it closed the connection, or that broke
	clientSlow = "not_read"    // it did not read, and was cut off
	drained    = "drained"     // the server drains
	lifeOver   = "life_over"   // it lasted for an hour
	stoodOff   = "stood_still" // the machine was suspended, or its clock was set
	revoked    = "revoked"     // its token is no longer valid
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
