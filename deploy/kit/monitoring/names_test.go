package monitoring

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	promql "github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
)

// ofOthers are metrics that programs of others have, who use the packages, and the
// shipped processes do not.
var ofOthers = []string{
	"registry.middleware.report_only",   // Go transports with the middleware
	"registry.middleware.streams.ended", // Go transports with the guard
}

// instruments are the names of all that the program measures: of each call that
// makes an instrument, in the sources.
func instruments(t *testing.T) (names []string) {
	t.Helper()
	makes := regexp.MustCompile(`(Counter|CounterOf|Gauge|Histogram|Total)$`)
	ours := regexp.MustCompile(`^(registry|quota|http)\.[a-z_.]+$`)
	root := "../../.."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{"bench", "deploy", "examples", "node_modules", ".git"}, d.Name()):
			return fs.SkipDir
		case filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !makes.MatchString(method.Sel.Name) {
				return true
			}
			for _, arg := range call.Args[:min(2, len(call.Args))] {
				if text, ok := arg.(*ast.BasicLit); ok && text.Kind == token.STRING {
					if name, err := strconv.Unquote(text.Value); err == nil && ours.MatchString(name) {
						names = append(names, name)
					}
				}
			}
			return true
		})
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, len(names), 50)
	return names
}

// measures reports whether a metric of Prometheus is that of an instrument, or one
// of the series of it.
func measures(metric, instrument string) bool {
	rest, found := strings.CutPrefix(metric, strings.ReplaceAll(instrument, ".", "_"))
	return found && regexp.MustCompile(`^(_seconds|_bytes)?(_total|_bucket|_sum|_count)?$`).MatchString(rest)
}

// asked are the metrics that rules and dashboard ask for.
func asked(t *testing.T) map[string]bool {
	t.Helper()
	queries := shippedDashboard(t).asked("5m")
	rules(t).each(func(r *rule) { queries = append(queries, r.Expr) })
	metrics := map[string]bool{}
	for _, q := range queries {
		promql.Inspect(parse(t, q), func(n promql.Node, _ []promql.Node) error {
			if v, ok := n.(*promql.VectorSelector); ok {
				metrics[v.Name] = true
			}
			return nil
		})
	}
	return metrics
}

func TestNoQueryAsksForWhatIsNotMeasured(t *testing.T) {
	known := map[string]bool{"up": true, "ALERTS": true} // Prometheus' own
	rules(t).each(func(r *rule) { known[r.Record] = true })
	own := prometheus.NewRegistry()
	own.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	families, err := own.Gather()
	require.NoError(t, err)
	for _, f := range families {
		known[f.GetName()] = true
	}
	all := instruments(t)
	for metric := range asked(t) {
		if !known[metric] {
			require.True(t, slices.ContainsFunc(all, func(i string) bool { return measures(metric, i) }), "nothing measures %s", metric)
		}
	}
}

func TestAllThatIsMeasuredIsOnTheDashboardOrInARule(t *testing.T) {
	metrics := asked(t)
	for _, i := range instruments(t) {
		shown := false
		for metric := range metrics {
			shown = shown || measures(metric, i)
		}
		require.NotEqual(t, slices.Contains(ofOthers, i), shown, "%s", i)
	}
}
