package quota_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/northstar-engines/realtime-registry/quota"
)

// reader reads metrics, as the sums of their data points by labels.
type reader struct{ *sdkmetric.ManualReader }

func newReader() (reader, metric.MeterProvider) {
	r := sdkmetric.NewManualReader()
	return reader{r}, sdkmetric.NewMeterProvider(sdkmetric.WithReader(r))
}

func (r reader) read(t *testing.T, name string) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, r.Collect(t.Context(), &all))
	sums := map[string]int64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if m.Name != name {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					if p.Value != 0 {
						sums[labels(p.Attributes)] += p.Value
					}
				}
			case metricdata.Gauge[int64]:
				for _, p := range data.DataPoints {
					sums[labels(p.Attributes)] += p.Value
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					sums[labels(p.Attributes)] += int64(p.Count)
				}
			}
		}
	}
	return sums
}

func (r reader) sum(t *testing.T, name string) (sum int64) {
	t.Helper()
	for _, n := range r.read(t, name) {
		sum += n
	}
	return sum
}

func labels(set attribute.Set) string {
	text := ""
	for _, kv := range set.ToSlice() {
		text += fmt.Sprintf("%s=%s ", kv.Key, kv.Value.String())
	}
	return text
}

func TestTelemetryTellsDecisionsReservationsAndUnits(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		reader, meters := newReader()
		l := limiter(t, store, quota.Options{MeterProvider: meters, Policies: []quota.Policy{
			{Action: "chat_send", Limit: 10, Window: time.Minute},
			{Action: "beacon", Limit: 1, Window: time.Minute, Shadow: true},
			{Action: "other", Limit: 9, Window: time.Minute},
		}})
		for range 15 {
			allow(t, l)
		}
		for i := range 3 {
			_, err := l.Allow(t.Context(), tenant, "beacon")
			require.NoError(t, err)
			_, err = l.Allow(t.Context(), tenant, fmt.Sprintf("invented%d", i))
			require.NoError(t, err)
		}
		_, err := l.Allow(t.Context(), tenant, "other")
		require.NoError(t, err)
		_, err = l.Allow(t.Context(), "nobody", action)
		require.Error(t, err)
		store.fault = down
		_, err = l.Allow(t.Context(), "t_other", action)
		require.Error(t, err)
		require.Equal(t, map[string]int64{
			"action=chat_send outcome=allowed ":     10,
			"action=chat_send outcome=refused ":     5,
			"action=chat_send outcome=invalid ":     1,
			"action=chat_send outcome=unavailable ": 1,
			"action=beacon outcome=allowed ":        1,
			"action=beacon outcome=shadowed ":       2,
			"action=other outcome=allowed ":         4,
		}, reader.read(t, "quota.decisions"))
		require.Equal(t, map[string]int64{"action=chat_send ": 10, "action=beacon ": 1, "action=other ": 4}, reader.read(t, "quota.units.reserved"))
		require.Equal(t, map[string]int64{"action=chat_send ": 1, "action=beacon ": 1}, reader.read(t, "quota.near_limit"))
		calls := reader.read(t, "quota.store.duration")
		require.EqualValues(t, 3, calls["operation=load outcome=error "])
		require.EqualValues(t, 6, calls["operation=load outcome=ok "], "one for each key; chat_send's is known to be full")
	})
}

func TestTelemetryTellsReleasedAndStrandedUnits(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		store := newStage()
		reader, meters := newReader()
		options := limitOf(100, time.Minute)
		options.MeterProvider = meters
		l := limiter(t, store, options)
		for range 8 { // of 15 reserved
			require.True(t, allow(t, l).Allowed)
		}
		time.Sleep(30 * time.Second)
		require.EqualValues(t, 7, reader.sum(t, "quota.units.released"))
		require.Zero(t, reader.sum(t, "quota.units.stranded"))
		lost := false
		store.fault = func(operation string) (before, after error) {
			if operation == "save" && !lost {
				lost = true
				return nil, errDown
			}
			return nil, nil
		}
		require.True(t, allow(t, l).Allowed)
		require.NoError(t, l.Close(t.Context()))
		require.EqualValues(t, count(t, store)-9, reader.sum(t, "quota.units.stranded"), "what was reserved, and the answer lost")
	})
}

func TestCountersOfActionsStartAt0(t *testing.T) {
	reader, meters := newReader()
	limiter(t, newStage(), quota.Options{MeterProvider: meters, Policies: []quota.Policy{{Action: "chat_send", Limit: 10, Window: time.Minute}}})
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	series := map[string]bool{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if sum, ok := m.Data.(metricdata.Sum[int64]); ok {
				for _, p := range sum.DataPoints {
					series[m.Name+" "+labels(p.Attributes)] = p.Value == 0
				}
			}
		}
	}
	for _, want := range []string{
		"quota.decisions action=chat_send outcome=refused ", "quota.decisions action=other outcome=unavailable ",
		"quota.units.stranded action=chat_send ", "quota.near_limit action=chat_send ", "quota.units.released ", "quota.policies.refused ",
	} {
		require.True(t, series[want], "%s of %v", want, series)
	}
}
