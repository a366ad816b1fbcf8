//go:build proofs

package monitoring

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
)

// Every query of the dashboard has an answer from a process that does all that it
// can do.
func TestProofNoPanelIsEmpty(t *testing.T) {
	i := install(t)
	i.replay(created("0", time.Now(), "t_ada", "th_0"))
	policies := filepath.Join(t.TempDir(), "policies.yaml")
	require.NoError(t, os.WriteFile(policies, []byte("policies: [{action: chat_send, limit: 10, window: 10s}, {limit: 1000}]\n"), 0o600))
	s := i.start("run", "--api", "--throttle-policies", policies)
	p := scrape(t, s.address)
	s.traffic()
	s.watch(`{"resources":[{"tenant_id":"t_ada","kind":"thread","id":"th_0"}]}`)
	stop := s.rare()
	defer stop()

	// The rewriting waits for some fifteen seconds before its last pass, and a rate
	// sees the second job that has ended.
	var empty []string
	ok := func() bool {
		empty = nil
		for _, q := range shippedDashboard(t).asked("1m") {
			if len(p.query(q)) == 0 {
				empty = append(empty, q)
			}
		}
		return len(empty) == 0
	}
	for began := time.Now(); !ok(); time.Sleep(time.Second) {
		require.Less(t, time.Since(began), soon, "no answer to:\n%s", strings.Join(empty, "\n"))
	}
	t.Logf("%d queries, none empty", len(shippedDashboard(t).asked("1m")))
	p.requireLabels(shippedDashboard(t).asked("1m"))
	var ruled []string
	rules(t).scaled(t, faster).each(func(r *rule) { ruled = append(ruled, r.Expr) })
	p.requireLabels(ruled)
}

// requireLabels requires that what is added up by a label has that label.
func (p *monitor) requireLabels(queries []string) {
	p.t.Helper()
	for _, q := range queries {
		parser.Inspect(parse(p.t, q), func(n parser.Node, _ []parser.Node) error {
			sum, ok := n.(*parser.AggregateExpr)
			if !ok || sum.Without {
				return nil
			}
			samples := p.query(sum.String())
			for _, label := range sum.Grouping {
				has := func(s sample) bool { return s.labels[label] != "" }
				require.True(p.t, len(samples) == 0 || slices.ContainsFunc(samples, has), "%s: no label %s", q, label)
			}
			return nil
		})
	}
}

// watch opens a watch, until the test ends.
func (s *service) watch(body string) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s.t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.address+"/v1/watch", strings.NewReader(body))
	require.NoError(s.t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = response.Body.Close() })
	require.Equal(s.t, http.StatusOK, response.StatusCode)
}

// rare publishes creations after their threads were asked for, and moves of whole
// tenants, again and again.
func (s *service) rare() (stop func()) {
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for n := 0; ; n++ {
			s.send(moves, moved(fmt.Sprint("move", n), time.Now(), fmt.Sprint("t_from_", n), "t_to"))
			thread := fmt.Sprintf("th_late_%d", n)
			s.ask(http.MethodGet, "/v1/threads/"+thread+"/access", "t_ada")
			s.send(threads, created(thread, time.Now(), "t_ada", thread))
			for s.ask(http.MethodGet, "/v1/threads/"+thread+"/access", "t_ada") != http.StatusNoContent {
				select {
				case <-done:
					return
				case <-time.After(200 * time.Millisecond):
				}
			}
			select {
			case <-done:
				return
			case <-time.After(3 * time.Second):
			}
		}
	}()
	return func() { close(done); <-ended }
}
