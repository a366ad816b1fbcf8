package console

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// counter is one way to add up the series of a counter, or of a histogram's count.
type counter struct {
	name   string // on the page
	family string
	label  string            // by which they are kept apart; "": not at all
	only   map[string]string // labels that a series must have
}

var counters = []counter{
	{name: "events_by_outcome", family: "registry_events_total", label: "outcome"},
	{name: "events_by_type", family: "registry_events_total", label: "event_type"},
	{name: "events_refused", family: "registry_events_total", label: "reason", only: map[string]string{"outcome": "refused"}},
	{name: "dead_letters", family: "registry_dead_letters_total", label: "reason"},
	{name: "dead_letter_failures", family: "registry_dead_letter_failures_total", label: "reason"},
	{name: "displaced", family: "registry_displaced_total"},
	{name: "checks_from_memory", family: "registry_verifier_cache_hits_total"},
	{name: "checks_read", family: "registry_verifier_check_duration_seconds", label: "outcome"},
	{name: "refusals", family: "registry_verifier_refusals_total", label: "cause"},
	{name: "throttle", family: "quota_decisions_total", label: "outcome"},
	{name: "requests", family: "http_server_request_duration_seconds", label: "http_response_status_code"},
	{name: "rewriting_jobs", family: "registry_rewriting_jobs_total", label: "outcome"},
	{name: "rewritten", family: "registry_rewriting_documents_total", label: "operation"},
}

// durations are histograms in seconds, by their names on the page.
var durations = map[string]string{
	"event_lag":   "registry_event_lag_seconds",
	"message_lag": "registry_message_lag_seconds",
	"check":       "registry_verifier_check_duration_seconds",
	"feed_read":   "registry_verifier_feed_read_duration_seconds",
}

// gauges by their names on the page.
var gauges = map[string]string{
	"certificate_age": "registry_verifier_feed_age_seconds",
	"listener":        "registry_verifier_listener_connected",
	"cached":          "registry_verifier_cache_entries",
	"watches":         "registry_verifier_watches",
	"streams":         "registry_pubsub_streams_connected",
	"outstanding":     "registry_messages_outstanding",
	"unconfirmed":     "registry_pubsub_acks_unconfirmed",
	"pubsub_faults":   "registry_pubsub_faults",
	"store_up":        "registry_store_up",
	"memory_bytes":    "process_resident_memory_bytes",
	"throttle_keys":   "quota_keys",
	"started":         "process_start_time_seconds",
}

// digest is what the page needs of one process's metrics, at one time.
type digest struct {
	at         time.Time
	instance   string // another one after a restart
	version    string
	worker     bool
	api        bool
	counts     map[string]map[string]float64 // by counter, by the label's value
	histograms map[string]histogram
	gauges     map[string]float64 // those that there are
}

// histogram has cumulative counts by bucket, up to +Inf.
type histogram map[float64]float64

func newDigest(at time.Time, families map[string]*dto.MetricFamily) digest {
	d := digest{at: at, counts: map[string]map[string]float64{}, histograms: map[string]histogram{}, gauges: map[string]float64{}}
	_, d.worker = families["registry_events_total"]
	_, d.api = families["registry_verifier_cache_misses_total"]
	d.instance = labelOf(families["target_info"], "service_instance_id")
	d.version = labelOf(families["registry_build_info"], "version")
	for _, c := range counters {
		if f := families[c.family]; f != nil {
			d.counts[c.name] = c.sum(f)
		}
	}
	for name, family := range durations {
		if f := families[family]; f != nil {
			d.histograms[name] = newHistogram(f)
		}
	}
	for name, family := range gauges {
		if f := families[family]; f != nil {
			for _, m := range f.Metric {
				d.gauges[name] += number(m)
			}
		}
	}
	return d
}

// gather returns a digest of this process.
func gather(at time.Time, from prometheus.Gatherer) (digest, error) {
	all, err := from.Gather() // what could be had comes with an error too
	families := map[string]*dto.MetricFamily{}
	for _, f := range all {
		families[f.GetName()] = f
	}
	return newDigest(at, families), err
}

func (c counter) sum(f *dto.MetricFamily) map[string]float64 {
	sums := map[string]float64{}
	for _, m := range f.Metric {
		value, fits := "", true
		for name, want := range c.only {
			fits = fits && label(m, name) == want
		}
		if c.label != "" {
			value = label(m, c.label)
			fits = fits && value != ""
		}
		if fits {
			sums[value] += number(m)
		}
	}
	return sums
}

func newHistogram(f *dto.MetricFamily) histogram {
	h := histogram{}
	for _, m := range f.Metric {
		for _, b := range m.GetHistogram().GetBucket() {
			if bound := b.GetUpperBound(); bound == finite(bound) { // that of +Inf is the count
				h[bound] += float64(b.GetCumulativeCount())
			}
		}
		h[math.Inf(1)] += float64(m.GetHistogram().GetSampleCount())
	}
	return h
}

// number returns a metric's value; of a histogram, the count.
func number(m *dto.Metric) float64 {
	switch {
	case m.Counter != nil:
		return finite(m.Counter.GetValue())
	case m.Gauge != nil:
		return finite(m.Gauge.GetValue())
	case m.Histogram != nil:
		return float64(m.Histogram.GetSampleCount())
	}
	return finite(m.GetUntyped().GetValue())
}

// finite returns a value that the page can be sent, and that any number of others can
// be added to: JSON has neither NaN nor infinities, and Prometheus' text has both.
func finite(value float64) float64 {
	const most = 1e18
	if math.IsNaN(value) {
		return 0
	}
	return max(-most, min(value, most))
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.Label {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

func labelOf(f *dto.MetricFamily, name string) string {
	if f == nil || len(f.Metric) == 0 {
		return ""
	}
	return label(f.Metric[0], name)
}
