package main

import (
	"fmt"
	"html"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// series is how one cost grows with the number of tenants that have moved.
type series struct {
	name   string // with its unit: "start, s"
	points []point
	before []point // at commit 1571751; none if nobody has measured it
}

type point struct {
	moved int // tenants
	cost  float64
}

// growthTable has a column for each number of tenants moved.
func growthTable(all []series) table {
	t := table{title: "As tenants move", header: []string{"tenants moved"}}
	var columns []int
	for _, s := range all {
		for _, p := range slices.Concat(s.points, s.before) {
			if !slices.Contains(columns, p.moved) {
				columns = append(columns, p.moved)
			}
		}
	}
	slices.Sort(columns)
	for _, moved := range columns {
		t.header = append(t.header, grouped(moved))
	}
	row := func(name string, points []point) {
		cells := append([]string{name}, repeated("–", len(columns))...)
		for _, p := range points {
			cells[1+slices.Index(columns, p.moved)] = short(p.cost)
		}
		t.rows = append(t.rows, cells)
	}
	for _, s := range all {
		row(s.name, s.points)
		if len(s.before) > 0 {
			row(s.name+", at commit 1571751", s.before)
		}
	}
	return t
}

// grouped is 1,000,000 of 1000000.
func grouped(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// short has three digits that count.
func short(x float64) string {
	if x >= 1000 {
		return grouped(int(math.Round(x)))
	}
	return strconv.FormatFloat(x, 'g', 3, 64)
}

// The plot is a panel for each series, both axes logarithmic, the same for all
// panels across: 10^3 to 10^6. It has its own background, and follows what the reader
// prefers, dark or light.
const (
	panelWidth, panelHeight = 330, 200
	panelsInRow             = 2
	left, right, top, foot  = 34, 34, 44, 48 // margins of a panel
	legend                  = 30             // height
	firstDecade, lastDecade = 3.0, 6.0
	plotStyle               = `<style>
text { font: 11px sans-serif; fill: #222 } .name { font-weight: bold } .axis { fill: #666 }
.background { fill: #fff } .grid { stroke: #ddd }
.now { stroke: #1a73e8; fill: #1a73e8 } .before { stroke: #b3261e; fill: #b3261e }
.line { fill: none; stroke-width: 2 } .before.line { stroke-dasharray: 5 4 } text.now, text.before { stroke: none }
@media (prefers-color-scheme: dark) {
text { fill: #ddd } .axis { fill: #999 } .background { fill: #161b22 } .grid { stroke: #30363d }
.now { stroke: #8ab4f8; fill: #8ab4f8 } .before { stroke: #f28b82; fill: #f28b82 } .line { fill: none }
}
</style>
`
)

// writePlot draws the series into the documentation.
func writePlot(suite string, all []series) error {
	return os.WriteFile("../docs/growth-"+strings.TrimPrefix(suite, "scale-")+".svg", []byte(plot(all)), 0o644)
}

// plot is the series as SVG.
func plot(all []series) string {
	rows := (len(all) + panelsInRow - 1) / panelsInRow
	width, height := panelWidth*min(len(all), panelsInRow), panelHeight*rows+legend
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d">`+"\n%s", width, height, width, height, plotStyle)
	fmt.Fprintln(&b, `<rect class="background" width="100%" height="100%"/>`)
	for i, s := range all {
		fmt.Fprintf(&b, `<g transform="translate(%d %d)">`+"\n%s</g>\n", i%panelsInRow*panelWidth, i/panelsInRow*panelHeight, panel(s))
	}
	fmt.Fprintf(&b, `<text class="axis" x="%d" y="%d">across: tenants moved</text>`+"\n", left, height-10)
	fmt.Fprintf(&b, `<text class="now" x="%d" y="%d">now</text><text class="before" x="%d" y="%d">at commit 1571751</text>`+"\n", left+150, height-10, left+200, height-10)
	return b.String() + "</svg>\n"
}

// panel draws one series. A decade is as high as it is wide at the least, so that
// what does not grow looks flat.
func panel(s series) string {
	low, high := math.Inf(1), math.Inf(-1)
	for _, p := range slices.Concat(s.points, s.before) {
		low, high = min(low, level(p)), max(high, level(p))
	}
	span := max(high-low, lastDecade-firstDecade)
	middle := (low + high) / 2
	x := func(p point) float64 {
		return left + (math.Log10(float64(p.moved))-firstDecade)/(lastDecade-firstDecade)*(panelWidth-left-right)
	}
	y := func(p point) float64 {
		return top + (0.5-(level(p)-middle)/span)*(panelHeight-top-foot)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<text class="name" x="%d" y="18">%s</text>`+"\n", left, html.EscapeString(s.name))
	for decade := firstDecade; decade <= lastDecade; decade++ {
		at := x(point{moved: int(math.Pow(10, decade))})
		fmt.Fprintf(&b, `<path class="grid" d="M%.1f %d V%d"/><text class="axis" x="%.1f" y="%d" text-anchor="middle">10<tspan dy="-4" font-size="8">%.0f</tspan></text>`+"\n",
			at, top, panelHeight-28, at, panelHeight-14, decade)
	}
	for _, line := range []struct {
		class  string
		points []point
		above  float64 // of a label
	}{{"before", s.before, -7}, {"now", s.points, 16}} {
		if len(line.points) == 0 {
			continue
		}
		above := line.above
		if len(s.before) == 0 {
			above = -7
		}
		var places []string
		for _, p := range line.points {
			places = append(places, fmt.Sprintf("%.1f,%.1f", x(p), y(p)))
		}
		fmt.Fprintf(&b, `<polyline class="%s line" points="%s"/>`+"\n", line.class, strings.Join(places, " "))
		for _, p := range line.points {
			fmt.Fprintf(&b, `<circle class="%s" cx="%.1f" cy="%.1f" r="3"/><text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n",
				line.class, x(p), y(p), x(p), y(p)+above, html.EscapeString(short(p.cost)))
		}
	}
	return b.String()
}

// level is the cost's logarithm. What costs nothing stands at a hundredth.
func level(p point) float64 { return math.Log10(max(p.cost, 0.01)) }
