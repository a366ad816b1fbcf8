package console

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

// Whatever stands at a peer's /metrics, the sample that it becomes part of can be sent:
// otherwise one peer would stop the page for all processes.
func FuzzMetricsOfPeers(f *testing.F) {
	const histogram = "# TYPE registry_event_lag_seconds histogram\nregistry_event_lag_seconds_bucket{le=\"0.1\"} %s\nregistry_event_lag_seconds_bucket{le=\"+Inf\"} 3\nregistry_event_lag_seconds_sum 1\nregistry_event_lag_seconds_count 3\n"
	f.Add("# TYPE registry_events_total counter\nregistry_events_total{outcome=\"applied\",event_type=\"x\"} 3\n", "# TYPE registry_events_total counter\nregistry_events_total{outcome=\"applied\"} 5\n")
	for _, value := range []string{"NaN", "+Inf", "-Inf", "1e308", "-1", "0x1p-1074"} {
		f.Add("registry_store_up "+value+"\nregistry_displaced_total "+value+"\n", "registry_displaced_total "+value+"\nregistry_displaced_total{a=\"b\"} "+value+"\n")
	}
	f.Add(strings.ReplaceAll(histogram, "%s", "1"), strings.ReplaceAll(strings.ReplaceAll(histogram, "%s", "2"), "0.1", "NaN"))
	f.Add("<html>", "target_info{service_instance_id=\"a\"} 1\n")
	f.Fuzz(func(t *testing.T, before, now string) {
		var c course
		at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		for i, text := range []string{before, now} {
			parser := expfmt.NewTextParser(model.UTF8Validation)
			families, err := parser.TextToMetricFamilies(strings.NewReader(text))
			if err != nil {
				return
			}
			c = c.with(newDigest(at.Add(time.Duration(i)*time.Second), families))
		}
		courses := []course{c, c}
		_, err := json.Marshal(Sample{
			Processes: []Process{{Events: c.rates("events_by_outcome"), Checks: c.rates("checks_read"), Gauges: c[len(c)-1].gauges}},
			Counts:    counts(courses), Durations: quantiles(courses),
		})
		require.NoError(t, err)
	})
}
