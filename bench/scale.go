package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// scaleSuites measure what must hold at the target's size, under the rules of
// the services, with counts and durations that are fixed. The contenders have no
// part in them. `make scale` runs them all; -suites names some.
var scaleSuites = []scaleSuite{
	{"scale-throttle", (*bench).scaleThrottle},
	{"scale-rewriting", (*bench).scaleRewriting},
	{"scale-ledger", (*bench).scaleLedger},
	{"scale-replay", (*bench).scaleReplay},
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

// judged is the verdict on a row.
func (r scaleRow) judged() string {
	if r.ok {
		return "holds"
	}
	return "**does not hold**"
}

func (r scaleRow) cells() []string {
	return []string{r.what, cmp.Or(r.before, "–"), r.asked, r.seen, r.judged()}
}

var scaleHeader = []string{"", "at commit 1571751", "asked", "seen", ""}

// scale runs one suite, and returns its report. What does not hold is listed at the
// end of the benchmark, which then fails; so is a suite that comes to no end, and the
// others go on. The error is that of ctx.
func (b *bench) scale(ctx context.Context, s scaleSuite) (string, error) {
	began := time.Now()
	report, err := b.measureScale(ctx, s)
	if err != nil && ctx.Err() == nil {
		failed := scaleRow{what: "the suite " + s.name, asked: "comes to its end", seen: strings.ReplaceAll(err.Error(), "\n", "; ")}
		b.judge(s, failed)
		t := table{title: "What must hold, of " + strings.TrimPrefix(s.name, "scale-"), header: scaleHeader, rows: [][]string{failed.cells()}}
		report, err = t.String(), nil
	}
	b.say("%s took %v", s.name, time.Since(began).Round(time.Second))
	return report, err
}

func (b *bench) measureScale(ctx context.Context, s scaleSuite) (string, error) {
	if err := b.cold(ctx); err != nil {
		return "", err
	}
	result, err := s.run(b, ctx)
	if err != nil {
		return "", err
	}
	t := table{title: "What must hold, of " + strings.TrimPrefix(s.name, "scale-"), header: scaleHeader}
	for _, r := range result.rows {
		b.judge(s, r)
		t.rows = append(t.rows, r.cells())
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

// judge takes note of a row.
func (b *bench) judge(s scaleSuite, r scaleRow) {
	b.say("%s  %s: asked %s, seen %s: %s", s.name, r.what, r.asked, r.seen, r.judged())
	b.scaled = append(b.scaled, append([]string{strings.TrimPrefix(s.name, "scale-")}, r.cells()...))
	if !r.ok {
		b.missed = append(b.missed, fmt.Sprintf("%s: %s: asked %s, seen %s", s.name, r.what, r.asked, r.seen))
	}
}

// allScaled is one table of all suites.
func (b *bench) allScaled() table {
	return table{title: "At the target's size", header: append([]string{"of"}, scaleHeader...), rows: b.scaled}
}

// expand replaces the name scale by those of its suites.
func expand(names []string) []string {
	if i := slices.Index(names, "scale"); i >= 0 {
		return slices.Replace(slices.Clone(names), i, i+1, scaleNames()...)
	}
	return names
}
