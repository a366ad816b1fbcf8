package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// scaleSuites measure what must hold at the target's size, under the rules of
// the services, with counts and durations that are fixed. The contenders have no
// part in them. `make scale` runs them all; -suites names some.
var scaleSuites = []scaleSuite{
	{"scale-throttle", (*bench).scaleThrottle},
	{"scale-rewriting", (*bench).scaleRewriting},
	{"scale-ledger", (*bench).scaleLedger},
}

type scaleSuite struct {
	name string
	run  func(*bench, context.Context) (scaled, error)
}

// scaled is what such a suite has measured.
type scaled struct {
	rows   []scaleRow
	tables []table  // with more of it
	growth []series // drawn into docs/growth-SUITE.svg
}

// scaleRow is one figure that must hold.
type scaleRow struct {
	what   string
	before string // at commit 1571751; empty if it was not measured
	asked  string
	seen   string
	ok     bool
}

// scaleNames are the names of the suites that the name scale stands for.
func scaleNames() []string {
	var names []string
	for _, s := range scaleSuites {
		names = append(names, s.name)
	}
	return names
}

// scale runs one suite, and returns its report. What does not hold is listed at
// the end of the benchmark, which then fails.
func (b *bench) scale(ctx context.Context, s scaleSuite) (string, error) {
	if err := b.cold(ctx); err != nil {
		return "", err
	}
	result, err := s.run(b, ctx)
	if err != nil {
		return "", err
	}
	t := table{title: "What must hold, of " + strings.TrimPrefix(s.name, "scale-"), header: []string{"", "at commit 1571751", "asked", "seen", ""}}
	for _, r := range result.rows {
		holds := "holds"
		if !r.ok {
			holds = "**does not hold**"
			b.missed = append(b.missed, fmt.Sprintf("%s: %s: asked %s, seen %s", s.name, r.what, r.asked, r.seen))
		}
		b.say("%s  %s: asked %s, seen %s: %s", s.name, r.what, r.asked, r.seen, holds)
		t.rows = append(t.rows, []string{r.what, cmp.Or(r.before, "–"), r.asked, r.seen, holds})
	}
	parts := []string{t.String()}
	for _, more := range result.tables {
		parts = append(parts, more.String())
	}
	if len(result.growth) > 0 {
		parts = append(parts, growthTable(result.growth).String())
		if b.options.Write {
			if err := writePlot(s.name, result.growth); err != nil {
				return "", err
			}
		}
	}
	return strings.Join(parts, "\n"), nil
}

// expand replaces the name scale by those of its suites.
func expand(names []string) []string {
	if i := slices.Index(names, "scale"); i >= 0 {
		return slices.Replace(slices.Clone(names), i, i+1, scaleNames()...)
	}
	return names
}
