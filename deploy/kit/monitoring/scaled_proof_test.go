//go:build proofs

package monitoring

import (
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
)

// scaled are the rules for a clock that runs so many times faster: all their ranges
// and waits are shorter, and nothing else is different.
func (f ruleFile) scaled(t *testing.T, times int) ruleFile {
	t.Helper()
	var fast ruleFile
	for _, g := range f.Groups {
		copied := ruleGroup{Name: g.Name, Interval: g.Interval}
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
				r.For = (wait / time.Duration(times)).String()
			}
			copied.Rules = append(copied.Rules, r)
		}
		fast.Groups = append(fast.Groups, copied)
	}
	return fast
}
