package monitoring

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
)

// labelsOf is the labels of a metric, and their values if they are a
// closed set.
type labelsOf map[string][]string

// measured are all metrics that there are, by the names that queries use: those of
// docs/metrics.md, which a test of the program makes from the code, those of Go and
// of the process, those that rules record, and Prometheus' own.
func measured(t *testing.T) (all, own map[string]labelsOf) {
	t.Helper()
	page, err := os.ReadFile("../../../docs/metrics.md")
	require.NoError(t, err)
	all, own = map[string]labelsOf{"up": {}, "ALERTS": {"alertname": nil, "alertstate": nil}}, map[string]labelsOf{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (\\w+) \\| ([^|]*) \\|").FindAllStringSubmatch(string(page), -1) {
		l := labelsOf{}
		for label := range strings.SplitSeq(m[3], "; ") {
			words := regexp.MustCompile("`([^`]*)`").FindAllStringSubmatch(label, -1)
			if len(words) == 0 {
				continue
			}
			l[words[0][1]] = nil
			for _, value := range words[1:] {
				l[words[0][1]] = append(l[words[0][1]], value[1])
			}
		}
		own[m[1]] = l
		if m[2] != "histogram" {
			all[m[1]] = l
			continue
		}
		for _, part := range []string{"_sum", "_count"} {
			all[m[1]+part] = l
		}
		bucket := labelsOf{"le": nil}
		for label, values := range l {
			bucket[label] = values
		}
		all[m[1]+"_bucket"] = bucket
	}
	require.Greater(t, len(own), 50)
	runtime := prometheus.NewRegistry()
	runtime.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	families, err := runtime.Gather()
	require.NoError(t, err)
	for _, f := range families {
		all[f.GetName()] = labelsOf{}
	}
	rules(t).each(func(r *rule) {
		if r.Record != "" {
			l := labelsOf{}
			for label := range r.Labels {
				l[label] = nil
			}
			all[r.Record] = l
		}
	})
	return all, own
}

// queries are those of rules and dashboard.
func queries(t *testing.T) []string {
	t.Helper()
	all := shippedDashboard(t).asked("5m")
	rules(t).each(func(r *rule) { all = append(all, r.Expr) })
	return all
}

// selected calls f for each metric that is asked for below a node.
func selected(n parser.Node, do func(*parser.VectorSelector)) {
	parser.Inspect(n, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok {
			do(v)
		}
		return nil
	})
}

// targets are the labels that Prometheus gives to all that it scrapes.
var targets = []string{"job", "instance"}

func TestNoQueryAsksForWhatIsNotMeasured(t *testing.T) {
	all, _ := measured(t)
	for _, q := range queries(t) {
		e := parse(t, q)
		selected(e, func(v *parser.VectorSelector) {
			require.Contains(t, all, v.Name, q)
			for _, m := range v.LabelMatchers {
				if m.Name == model.MetricNameLabel || slices.Contains(targets, m.Name) {
					continue
				}
				require.Contains(t, all[v.Name], m.Name, q)
				requireValues(t, m, all[v.Name][m.Name], q)
			}
		})
		parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
			sum, ok := n.(*parser.AggregateExpr)
			if !ok || sum.Without {
				return nil
			}
			for _, label := range sum.Grouping {
				selected(sum.Expr, func(v *parser.VectorSelector) {
					if !slices.Contains(targets, label) {
						require.Contains(t, all[v.Name], label, "%s adds up %s by what it has not", q, v.Name)
					}
				})
			}
			return nil
		})
	}
}

// requireValues requires that a label of a closed set may have each of the values
// that a query picks.
func requireValues(t *testing.T, m *labels.Matcher, closed []string, query string) {
	t.Helper()
	if closed == nil {
		return
	}
	for value := range strings.SplitSeq(m.Value, "|") {
		require.Contains(t, closed, value, "%s: %s", query, m.Name)
	}
}

func TestAllThatIsMeasuredIsOnTheDashboard(t *testing.T) {
	shown := map[string]bool{}
	for _, q := range shippedDashboard(t).asked("5m") {
		selected(parse(t, q), func(v *parser.VectorSelector) { shown[v.Name] = true })
	}
	_, own := measured(t)
	for metric := range own {
		seen := shown[metric] || shown[metric+"_count"] || shown[metric+"_bucket"] || shown[metric+"_sum"]
		require.True(t, seen, metric)
	}
}
