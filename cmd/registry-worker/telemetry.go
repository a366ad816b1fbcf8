package main

import (
	"context"
	"net"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/observe"
	"github.com/northstar-engines/realtime-registry/internal/telemetry"
)

const scope = "github.com/northstar-engines/realtime-registry/cmd/registry-worker"

// openTelemetry sets up what the environment asks for. Faults are errors of the
// log, and of the command config: no service stops for its telemetry.
func (in *invocation) openTelemetry(ctx context.Context) (*telemetry.Telemetry, error) {
	t, err := telemetry.New(ctx, telemetry.Options{Version: buildVersion().Version, Logger: in.Logger})
	for _, fault := range eachOf(err) {
		in.Logger.Error("telemetry is not as configured; the service goes on without that part", "error", fault)
	}
	return t, observeProgram(t.Providers, buildVersion(), in.Config.Entries())
}

// eachOf returns the errors that were joined.
func eachOf(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// observeProgram makes metrics of what runs: what the program was built from, and
// each setting that takes effect, without secrets.
func observeProgram(p observe.Providers, b build, settings []config.Entry) error {
	i := p.Instruments(scope)
	info := i.Gauge("registry.build.info", "", "Always 1: what the program was built from.",
		observe.Label{Name: "version"}, observe.Label{Name: "commit"}, observe.Label{Name: "go_version"})
	setting := i.Gauge("registry.setting.info", "", "Always 1: a setting that takes effect, without secrets, and whether a flag, a variable or the default gave it.",
		observe.Label{Name: "name"}, observe.Label{Name: "value"}, observe.Label{Name: "origin"})
	built := metric.WithAttributes(attribute.String("version", b.Version), attribute.String("commit", b.Commit), attribute.String("go_version", b.Go))
	var set []metric.MeasurementOption
	for _, e := range settings {
		set = append(set, metric.WithAttributes(
			attribute.String("name", e.Name), attribute.String("value", shortened(e.Value)), attribute.String("origin", e.From)))
	}
	i.Collect(func(_ context.Context, o metric.Observer) {
		o.ObserveInt64(info, 1, built)
		for _, attributes := range set {
			o.ObserveInt64(setting, 1, attributes)
		}
	}, info, setting)
	return i.Err()
}

// shortened cuts a label: lists of paths and sources have no bound.
func shortened(value string) string {
	const most = 128
	if len(value) <= most {
		return value
	}
	return strings.ToValidUTF8(value[:most], "") + "…"
}

// The pauses between two attempts to listen at --metrics-listen.
const (
	shortestListenPause = time.Second
	longestListenPause  = 30 * time.Second
)

// listenForMetrics opens --metrics-listen. If another program has the address,
// that is an error of the log, and nil: checks and events need no metrics.
func (in *invocation) listenForMetrics(ctx context.Context) net.Listener {
	l, err := listen(ctx, "metrics-listen", in.Config.MetricsListen)
	if err != nil {
		in.Logger.Error("metrics cannot be served; the service goes on, and tries again to listen", "error", err)
		return nil
	}
	return l
}

// retryMetrics returns the listener of --metrics-listen, as soon as there can be
// one; nil if ctx ends before.
func (in *invocation) retryMetrics(ctx context.Context) net.Listener {
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(shortestListenPause),
		backoff.WithMaxInterval(longestListenPause), backoff.WithMaxElapsedTime(0))
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause.NextBackOff()):
		}
		if l, err := listen(ctx, "metrics-listen", in.Config.MetricsListen); err == nil {
			return l
		}
	}
}
