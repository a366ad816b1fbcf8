package monitoring

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// dashboard is what Grafana is given, as far as it is looked at here
// (https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/).
type dashboard struct {
	UID        string
	Title      string
	Panels     []panel
	Templating struct {
		List []struct{ Name, Type string }
	}
}

type panel struct {
	ID      int
	Type    string
	Title   string
	GridPos struct{ X, Y, W, H int }
	Targets []struct {
		RefID string
		Expr  string
	}
	Datasource struct{ UID string }
}

func shippedDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(shipped, "dashboard.json"))
	require.NoError(t, err)
	var d dashboard
	require.NoError(t, json.Unmarshal(text, &d))
	return d
}

// asked are the queries of all panels, with Grafana's variables filled in.
func (d dashboard) asked(interval string) (queries []string) {
	filled := strings.NewReplacer("$__rate_interval", interval, "$__interval", interval, "$instance", ".*")
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			queries = append(queries, filled.Replace(target.Expr))
		}
	}
	return queries
}

func TestTheDashboardIsWhole(t *testing.T) {
	d := shippedDashboard(t)
	require.NotEmpty(t, d.UID)
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		require.False(t, ids[p.ID], "%s: its id is another's", p.Title)
		ids[p.ID] = true
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				place := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				require.Empty(t, taken[place], "%s lies over it", p.Title)
				taken[place] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		require.Equal(t, "${datasource}", p.Datasource.UID, p.Title)
		require.NotEmpty(t, p.Targets, p.Title)
		refs := map[string]bool{}
		for _, target := range p.Targets {
			require.False(t, refs[target.RefID], p.Title)
			refs[target.RefID] = true
		}
	}
	variables := map[string]string{}
	for _, v := range d.Templating.List {
		variables[v.Name] = v.Type
	}
	require.Equal(t, map[string]string{"datasource": "datasource", "instance": "query"}, variables)
	for _, q := range d.asked("5m") {
		require.NotContains(t, q, "$")
		parse(t, q)
	}
}
