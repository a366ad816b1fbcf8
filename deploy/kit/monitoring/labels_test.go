package monitoring

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	promql "github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
)

// labelValues are the values of labels, by metric and label, as docs/metrics.md has
// them, which is made from the code. A label whose values are not known has none.
func labelValues(t *testing.T) map[string]map[string][]string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/metrics.md")
	require.NoError(t, err)
	quoted := regexp.MustCompile("`([^`]+)`")
	all := map[string]map[string][]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| \\w+ \\| ([^|]*) \\|").FindAllStringSubmatch(string(page), -1) {
		all[row[1]] = map[string][]string{}
		for _, label := range strings.Split(row[2], "; ") {
			var names []string
			for _, m := range quoted.FindAllStringSubmatch(label, -1) {
				names = append(names, m[1])
			}
			if len(names) > 0 {
				all[row[1]][names[0]] = names[1:]
			}
		}
	}
	require.Greater(t, len(all), 50)
	return all
}

// A selector of a value that no label has selects nothing, and raises no alert.
func TestNoQueryAsksForALabelOrAValueThatThereIsNot(t *testing.T) {
	known := labelValues(t)
	queries := shippedDashboard(t).asked("5m")
	rules(t).each(func(r *rule) { queries = append(queries, r.Expr) })
	suffix := regexp.MustCompile(`_(bucket|sum|count)$`)
	ofScrape := map[string]bool{labels.MetricName: true, "le": true, "job": true, "instance": true}
	for _, q := range queries {
		promql.Inspect(parse(t, q), func(n promql.Node, _ []promql.Node) error {
			selector, ok := n.(*promql.VectorSelector)
			if !ok {
				return nil
			}
			of, ours := known[selector.Name]
			if !ours {
				of, ours = known[suffix.ReplaceAllString(selector.Name, "")]
			}
			if !ours {
				return nil
			}
			for _, m := range selector.LabelMatchers {
				if ofScrape[m.Name] {
					continue
				}
				values, has := of[m.Name]
				require.True(t, has, "%s has no label %s", selector.Name, m.Name)
				plain := regexp.MustCompile(`^[\w|.]+$`).MatchString(m.Value)
				if len(values) == 0 || !plain || strings.Contains(m.Value, ".*") || strings.Contains(m.Value, ".+") {
					continue
				}
				for _, value := range strings.Split(m.Value, "|") {
					require.Contains(t, values, value, "%s by %s", selector.Name, m.Name)
				}
			}
			return nil
		})
	}
}
