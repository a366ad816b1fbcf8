package rewrite_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/northstar-engines/realtime-registry/internal/rewrite"
)

// collect reads counters and gauges by name and their one label, and the sums of
// histograms.
func collect(t *testing.T, reader sdkmetric.Reader) map[string]float64 {
	t.Helper()
	var data metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(context.Background(), &data))
	values := map[string]float64{}
	add := func(name string, points []metricdata.DataPoint[int64]) {
		for _, p := range points {
			key := name
			for _, label := range p.Attributes.ToSlice() {
				key += " " + label.Value.AsString()
			}
			values[key] = float64(p.Value)
		}
	}
	for _, scope := range data.ScopeMetrics {
		for _, metric := range scope.Metrics {
			switch d := metric.Data.(type) {
			case metricdata.Sum[int64]:
				add(metric.Name, d.DataPoints)
			case metricdata.Gauge[int64]:
				add(metric.Name, d.DataPoints)
			case metricdata.Histogram[float64]:
				values[metric.Name] = d.DataPoints[0].Sum
			}
		}
	}
	return values
}

func TestMetricsAndLogSayWhatWasRewrittenAndHowLongReadersWaited(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		reader := sdkmetric.NewManualReader()
		w.create(w.store, "t_a", ids(20)...)
		w.move(w.store, "t_a", "t_b", "m")
		time.Sleep(5 * time.Second) // until a worker comes
		var log bytes.Buffer
		worker := w.worker(w.process(nil), func(o *rewrite.Options) {
			o.MeterProvider = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
			o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		soon(func() {
			values := collect(t, reader)
			require.EqualValues(t, 20, values["registry.rewriting.documents write"], "after the first pass")
			require.Zero(t, values["registry.rewriting.remaining"])
		})
		require.NoError(t, worker.RunPending(t.Context()))
		values := collect(t, reader)
		require.EqualValues(t, 40, values["registry.rewriting.documents read"])
		require.EqualValues(t, 20, values["registry.rewriting.documents write"])
		require.EqualValues(t, 1, values["registry.rewriting.jobs done"])
		require.InDelta(t, 15, values["registry.rewriting.lag"], 0.1, "from the commit of the change")
		require.Contains(t, log.String(), `msg="rewriting begins" move=m source=//nexus from=t_a to=t_b retracted=false by="" reason="" documents=20 at_least=10s`)
		require.Contains(t, log.String(), `msg="rewriting has ended"`)
		require.Contains(t, log.String(), "written=20 after=15s")

		w.move(w.store, "t_b", "t_c", "n")
		ctx, cancel := context.WithCancel(t.Context())
		soon(cancel)
		require.ErrorIs(t, worker.RunPending(ctx), context.Canceled)
		require.EqualValues(t, 1, collect(t, reader)["registry.rewriting.jobs interrupted"])
		require.Contains(t, log.String(), `msg="rewriting is interrupted`)
	})
}
