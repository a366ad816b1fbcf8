package monitoring

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

const shipped = "../../monitoring"

// ruleFile is a file of rules, as Prometheus has it.
type ruleFile struct {
	Groups []ruleGroup `json:"groups"`
}

type ruleGroup struct {
	Name     string `json:"name"`
	Interval string `json:"interval,omitempty"`
	Rules    []rule `json:"rules"`
}

type rule struct {
	Record      string            `json:"record,omitempty"`
	Alert       string            `json:"alert,omitempty"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

func rules(t *testing.T) ruleFile {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(shipped, "rules.yaml"))
	require.NoError(t, err)
	var f ruleFile
	require.NoError(t, yaml.UnmarshalStrict(text, &f))
	return f
}

// each calls f for every rule.
func (f ruleFile) each(do func(*rule)) {
	for _, g := range f.Groups {
		for i := range g.Rules {
			do(&g.Rules[i])
		}
	}
}

// alerts are the names of all alerts, in the order of the file.
func (f ruleFile) alerts() (names []string) {
	f.each(func(r *rule) {
		if r.Alert != "" {
			names = append(names, r.Alert)
		}
	})
	return names
}

var promQL = parser.NewParser(parser.Options{})

func parse(t *testing.T, query string) parser.Expr {
	t.Helper()
	e, err := promQL.ParseExpr(query)
	require.NoError(t, err, query)
	return e
}

func TestAnAlertSaysHowSoonAndWhereToRead(t *testing.T) {
	seen := map[string]bool{}
	rules(t).each(func(r *rule) {
		if r.Alert == "" {
			return
		}
		require.False(t, seen[r.Alert], "%s: twice", r.Alert)
		seen[r.Alert] = true
		require.Contains(t, []string{"page", "ticket"}, r.Labels["severity"], r.Alert)
		require.NotEmpty(t, r.Annotations["summary"], r.Alert)
		require.NotEmpty(t, r.Annotations["description"], r.Alert)
		_, anchor, found := strings.Cut(r.Annotations["runbook_url"], "/docs/operations.md#")
		require.True(t, found, r.Alert)
		require.Equal(t, strings.ToLower(r.Alert), anchor)
	})
}

// A share differs between its windows by the window alone.
func TestAnObjectiveIsTheSameInEveryWindow(t *testing.T) {
	windows := map[string][]string{}
	shares := map[string]string{}
	rules(t).each(func(r *rule) {
		window, found := strings.CutPrefix(r.Record, "registry:slo_errors:ratio_rate")
		if !found {
			return
		}
		slo := r.Labels["slo"]
		windows[slo] = append(windows[slo], window)
		share := regexp.MustCompile(`\[`+window+`\]`).ReplaceAllString(r.Expr, "[WINDOW]")
		require.NotContains(t, regexp.MustCompile(`\[\d\w*\]`).FindString(share), "[", "%s: another window", r.Record)
		if shares[slo] == "" {
			shares[slo] = share
		}
		require.Equal(t, shares[slo], share, r.Record)
	})
	require.Len(t, windows, 3)
	for slo, all := range windows {
		require.Equal(t, []string{"5m", "30m", "1h", "2h", "6h", "1d", "3d"}, all, slo)
	}
}
