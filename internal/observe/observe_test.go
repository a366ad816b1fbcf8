package observe_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/northstar-engines/realtime-registry/internal/observe"
)

func newProviders() (observe.Providers, *sdkmetric.ManualReader) {
	reader := sdkmetric.NewManualReader()
	return observe.Providers{MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))}, reader
}

// sums reads the counters and gauges by name and labels.
func sums(t *testing.T, reader *sdkmetric.ManualReader) map[string]int64 {
	t.Helper()
	var data metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &data))
	all := map[string]int64{}
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			var points []metricdata.DataPoint[int64]
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				points = d.DataPoints
			case metricdata.Gauge[int64]:
				points = d.DataPoints
			}
			for _, p := range points {
				all[m.Name+"{"+p.Attributes.Encoded(attribute.DefaultEncoder())+"}"] = p.Value
			}
		}
	}
	return all
}

func TestCountersStartAt0ForAllThatCanBeKnown(t *testing.T) {
	p, reader := newProviders()
	i := p.Instruments("test")
	i.Counter("bare", "{x}", "No label.")
	letters := i.Counter("letters", "{x}", "Two labels.", observe.Values("kind", "a", "b"), observe.Values("reason", "r", "s"))
	i.Counter("open", "{x}", "A label of which nothing is known.", observe.Label{Name: "subscription"})
	some := i.CounterOf(func(values []string) bool { return (values[0] == "refused") == (values[1] != "") },
		"some", "{x}", "A reason where there is one.", observe.Values("outcome", "ok", "refused"), observe.Values("reason", "", "r"))
	require.NoError(t, i.Err())
	require.Equal(t, map[string]int64{
		"bare{}": 0, "letters{kind=a,reason=r}": 0, "letters{kind=a,reason=s}": 0, "letters{kind=b,reason=r}": 0, "letters{kind=b,reason=s}": 0,
		"some{outcome=ok}": 0, "some{outcome=refused,reason=r}": 0,
	}, sums(t, reader))

	letters.Add(t.Context(), 2, "b", "r")
	some.Add(t.Context(), 3, "ok", "")
	some.Add(t.Context(), 1, "new", "one") // a value that nobody thought of is no panic
	after := sums(t, reader)
	require.EqualValues(t, 2, after["letters{kind=b,reason=r}"])
	require.EqualValues(t, 3, after["some{outcome=ok}"])
	require.EqualValues(t, 1, after["some{outcome=new,reason=one}"])
}

func TestCountingDoesNotAllocate(t *testing.T) {
	p, _ := newProviders()
	i := p.Instruments("test")
	c := i.Counter("letters", "{x}", "Letters.", observe.Values("kind", "a", "b"))
	h := i.Histogram("lag", "s", "Lag.", []float64{1}, observe.Values("kind", "a", "b"))
	require.Zero(t, testing.AllocsPerRun(100, func() {
		c.Add(context.Background(), 1, "a")
		h.Record(context.Background(), .5, "b")
	}))
}

func TestWhatIsCollectedEndsWithStop(t *testing.T) {
	p, reader := newProviders()
	i := p.Instruments("test")
	up := i.Gauge("up", "{x}", "Up.")
	stop := i.Collect(func(_ context.Context, o metric.Observer) { o.ObserveInt64(up, 1) }, up)
	require.Equal(t, map[string]int64{"up{}": 1}, sums(t, reader))
	stop()
	require.Empty(t, sums(t, reader))
}

func TestABadInstrumentIsAnErrorThatNamesIt(t *testing.T) {
	p, _ := newProviders()
	i := p.Instruments("test")
	i.Counter("0 is no name", "", "").Add(t.Context(), 1)
	require.ErrorContains(t, i.Err(), "0 is no name")
}

func TestACatalogKnowsEveryInstrument(t *testing.T) {
	var c observe.Catalog
	i := observe.Providers{MeterProvider: &c}.Instruments("test")
	i.Histogram("lag", "s", "Lag.", []float64{1})
	i.Counter("letters", "{letter}", "Letters.", observe.Values("kind", "a"))
	require.Equal(t, []observe.Metric{
		{Name: "lag", Kind: "histogram", Unit: "s", Description: "Lag."},
		{Name: "letters", Kind: "counter", Unit: "{letter}", Description: "Letters.", Labels: []observe.Label{{Name: "kind", Values: []string{"a"}}}},
	}, c.Metrics())
}

func TestAFloodOfOneKindOfLineDoesNotDrownAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := observe.NewLimitedLog(slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{AddSource: true})), 1, 3)
		for range 1000 {
			log.Write(t.Context(), "flood", slog.LevelWarn, "flood")
		}
		log.Write(t.Context(), "other", slog.LevelError, "other", slog.String("id", "x"))
		log.Write(t.Context(), "flood", slog.LevelDebug, "not asked for")
		time.Sleep(time.Second)
		log.Suppress("flood")
		log.Write(t.Context(), "flood", slog.LevelWarn, "flood")

		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		require.Len(t, lines, 5)
		var other, last map[string]any
		require.NoError(t, json.Unmarshal([]byte(lines[3]), &other))
		require.NoError(t, json.Unmarshal([]byte(lines[4]), &last))
		require.Equal(t, []any{"other", "x", nil}, []any{other["msg"], other["id"], other["suppressed"]})
		require.EqualValues(t, 998, last["suppressed"])
		require.Contains(t, last["source"].(map[string]any)["file"], "observe_test.go", "the place of the caller")
	})
}
