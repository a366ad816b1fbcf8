package monitoring

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

func promtool(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.Command(emulatortest.Program(t, "promtool"), args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func shippedTests(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(shipped, "*_test.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

func TestPrometheusTakesRulesAndConfiguration(t *testing.T) {
	promtool(t, "check", "rules", "--lint=all", "--lint-fatal", filepath.Join(shipped, "rules.yaml"))
	promtool(t, "check", "config", filepath.Join(shipped, "prometheus.yaml"))

	// Debian's Prometheus knows no Kubernetes: all else of that file.
	text, err := os.ReadFile(filepath.Join(shipped, "prometheus-kubernetes.yaml"))
	require.NoError(t, err)
	const found = "    kubernetes_sd_configs:\n      - role: pod\n"
	require.Contains(t, string(text), found)
	text = []byte(strings.Replace(string(text), found, "    static_configs: [{targets: [a]}]\n", 1))
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "prometheus.yaml"), text, 0o600))
	own, err := os.ReadFile(filepath.Join(shipped, "rules.yaml"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yaml"), own, 0o600))
	promtool(t, "check", "config", filepath.Join(dir, "prometheus.yaml"))
}

// A page reaches another receiver than a ticket, and there is no third severity.
func TestAlertmanagerTakesItsConfigurationAndWakesSomebodyForPagesAlone(t *testing.T) {
	file := filepath.Join(shipped, "alertmanager.yaml")
	amtool := func(args ...string) string {
		out, err := exec.Command(emulatortest.Program(t, "amtool"), args...).Output()
		require.NoError(t, err, "%s", out)
		return strings.TrimSpace(string(out))
	}
	amtool("check-config", file)
	receivers := map[string]string{}
	rules(t).each(func(r *rule) {
		if r.Alert != "" {
			receivers[r.Labels["severity"]] = ""
		}
	})
	for severity := range receivers {
		receivers[severity] = amtool("config", "routes", "test", "--config.file", file, "severity="+severity)
	}
	require.Equal(t, map[string]string{"page": "pages", "ticket": "tickets"}, receivers)
}

func TestAlertsFireWhenTheyShouldAndNotOtherwise(t *testing.T) {
	t.Parallel()
	promtool(t, append([]string{"test", "rules"}, shippedTests(t)...)...)
}

// Each alert has a test in which it fires, and one in which it does not although
// there is what it looks at.
func TestEveryAlertIsTestedFiringAndNot(t *testing.T) {
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, file := range shippedTests(t) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var f struct {
			Tests []struct {
				Queries []struct {
					Expr    string `json:"expr"`
					Samples []any  `json:"exp_samples"`
				} `json:"promql_expr_test"`
			} `json:"tests"`
		}
		require.NoError(t, yaml.Unmarshal(text, &f))
		for _, test := range f.Tests {
			for _, q := range test.Queries {
				name := alertOf(t, q.Expr)
				if len(q.Samples) > 0 {
					fires[name] = true
				} else {
					quiet[name] = true
				}
			}
		}
	}
	delete(quiet, "") // all of them, on an ordinary day
	want := rules(t).alerts()
	slices.Sort(want)
	require.Equal(t, want, sorted(fires))
	require.Equal(t, want, sorted(quiet))
}

// alertOf is the name that a query of ALERTS asks for; empty: of all.
func alertOf(t *testing.T, query string) (name string) {
	t.Helper()
	parser.Inspect(parse(t, query), func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok {
			require.Equal(t, "ALERTS", v.Name)
			for _, m := range v.LabelMatchers {
				if m.Name == "alertname" && m.Type == labels.MatchEqual {
					name = m.Value
				}
			}
		}
		return nil
	})
	return name
}

func sorted(set map[string]bool) (all []string) {
	for name := range set {
		all = append(all, strings.TrimSpace(name))
	}
	slices.Sort(all)
	return all
}
