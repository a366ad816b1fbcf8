//go:build proofs

package monitoring

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/northstar-engines/realtime-registry/emulator/emulatortest"
)

// faster is how many times faster the clock of the rules runs in these tests: five
// minutes are fifteen seconds.
const faster = 20

// scaled are the rules for a clock that runs so many times faster: all their ranges
// and waits are shorter, and nothing else is different.
func (f ruleFile) scaled(t *testing.T, times int) ruleFile {
	t.Helper()
	var fast ruleFile
	for _, g := range f.Groups {
		copied := ruleGroup{Name: g.Name, Interval: "1s"}
		for _, r := range g.Rules {
			e := parse(t, r.Expr)
			parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
				if m, ok := n.(*parser.MatrixSelector); ok {
					m.Range /= time.Duration(times)
				}
				return nil
			})
			r.Expr = e.String()
			if r.For != "" {
				wait, err := time.ParseDuration(r.For)
				require.NoError(t, err, r.Alert)
				r.For = fmt.Sprintf("%dms", (wait / time.Duration(times)).Milliseconds())
			}
			copied.Rules = append(copied.Rules, r)
		}
		fast.Groups = append(fast.Groups, copied)
	}
	return fast
}

// monitor is a Prometheus that runs, with the shipped rules on a faster clock.
type monitor struct {
	t   *testing.T
	url string
}

// scrape starts a Prometheus that scrapes these addresses.
func scrape(t *testing.T, addresses ...string) *monitor {
	t.Helper()
	dir, address := t.TempDir(), emulatortest.FreeAddress(t)
	text, err := yaml.Marshal(rules(t).scaled(t, faster))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yaml"), text, 0o600))
	// A scrape asks the store, which takes 2 s if that is away.
	configuration := fmt.Sprintf(`
global: {scrape_interval: 3s, scrape_timeout: 3s, evaluation_interval: 1s}
rule_files: [rules.yaml]
scrape_configs: [{job_name: realtime-registry, static_configs: [{targets: ["%s"]}]}]
`, strings.Join(addresses, `", "`))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "prometheus.yaml"), []byte(configuration), 0o600))
	p := emulatortest.Run(t, nil, emulatortest.Program(t, "prometheus"), "--config.file", filepath.Join(dir, "prometheus.yaml"),
		"--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address)
	p.AwaitLine("Server is ready", time.Minute)
	return &monitor{t, "http://" + address}
}

// sample is one of a vector.
type sample struct {
	labels map[string]string
	value  float64
}

func (s sample) String() string { return fmt.Sprint(s.labels, " ", s.value) }

// query asks for an instant vector.
func (p *monitor) query(expr string) []sample {
	p.t.Helper()
	response, err := http.Get(p.url + "/api/v1/query?query=" + url.QueryEscape(expr))
	require.NoError(p.t, err)
	defer response.Body.Close()
	var answer struct {
		Error string
		Data  struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	require.NoError(p.t, json.NewDecoder(response.Body).Decode(&answer))
	require.Empty(p.t, answer.Error, expr)
	var all []sample
	for _, r := range answer.Data.Result {
		value, err := strconv.ParseFloat(r.Value[1].(string), 64)
		require.NoError(p.t, err)
		if !math.IsNaN(value) {
			all = append(all, sample{r.Metric, value})
		}
	}
	return all
}

// firing are the alerts that fire now.
func (p *monitor) firing() map[string]bool {
	p.t.Helper()
	names := map[string]bool{}
	for _, s := range p.query(`ALERTS{alertstate="firing"}`) {
		names[s.labels["alertname"]] = true
	}
	return names
}

// firingBut are the alerts that fire now, except these.
func (p *monitor) firingBut(names ...string) map[string]bool {
	p.t.Helper()
	firing := p.firing()
	for _, name := range names {
		delete(firing, name)
	}
	return firing
}

// awaitAlerts waits until each of these has fired, and says after how long.
func (p *monitor) awaitAlerts(within time.Duration, names ...string) {
	p.t.Helper()
	began, missing := time.Now(), map[string]bool{}
	for _, name := range names {
		missing[name] = true
	}
	for len(missing) > 0 {
		for name := range p.firing() {
			if missing[name] {
				delete(missing, name)
				p.t.Logf("%s fires after %v", name, time.Since(began).Round(time.Second))
				fired(name)
			}
		}
		if time.Since(began) > within {
			require.Failf(p.t, "no alert", "%v do not fire within %v, others do: %v", sorted(missing), within, sorted(p.firing()))
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// awaitQuiet waits until none of these fires any more.
func (p *monitor) awaitQuiet(within time.Duration, names ...string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		firing := p.firing()
		for _, name := range names {
			if firing[name] {
				return false
			}
		}
		return true
	}, within, 500*time.Millisecond, "%v still fire", names)
}
