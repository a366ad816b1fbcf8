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
		for _, p := range s.points {
			if !slices.Contains(columns, p.moved) {
				columns = append(columns, p.moved)
			}
		}
	}
	slices.Sort(columns)
	for _, moved := range columns {
		t.header = append(t.header, grouped(moved))
	}
	for _, s := range all {
		row := append([]string{s.name}, repeated("–", len(columns))...)
		for _, p := range s.points {
			row[1+slices.Index(columns, p.moved)] = short(p.cost)
		}
		t.rows = append(t.rows, row)
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
// panels across: 10^3 to 10^6.
const (
	panelWidth, panelHeight = 270, 200
	panelsInRow             = 3
	left, right, top, foot  = 24, 24, 40, 34 // margins of a panel
	firstDecade, lastDecade = 3.0, 6.0
)

// writePlot draws the series into the documentation.
func writePlot(suite string, all []series) error {
	return os.WriteFile("../docs/growth-"+strings.TrimPrefix(suite, "scale-")+".svg", []byte(plot(all)), 0o644)
}

// plot is the series as SVG.
func plot(all []series) string {
	rows := (len(all) + panelsInRow - 1) / panelsInRow
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11" fill="#222">`+"\n",
		panelWidth*min(len(all), panelsInRow), panelHeight*rows)
	fmt.Fprintln(&b, `<rect width="100%" height="100%" fill="#fff"/>`)
	for i, s := range all {
		fmt.Fprintf(&b, `<g transform="translate(%d %d)">`+"\n%s</g>\n", i%panelsInRow*panelWidth, i/panelsInRow*panelHeight, panel(s))
	}
	return b.String() + "</svg>\n"
}

// panel draws one series. A decade is as high as it is wide at the least, so that
// what does not grow looks flat.
func panel(s series) string {
	low, high := math.Inf(1), math.Inf(-1)
	for _, p := range s.points {
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
	fmt.Fprintf(&b, `<text x="%d" y="18" font-weight="bold">%s</text>`+"\n", left, html.EscapeString(s.name))
	for decade := firstDecade; decade <= lastDecade; decade++ {
		at := x(point{moved: int(math.Pow(10, decade))})
		fmt.Fprintf(&b, `<path d="M%.1f %d V%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle" fill="#777">10<tspan dy="-4" font-size="8">%.0f</tspan></text>`+"\n",
			at, top, panelHeight-foot, at, panelHeight-foot+16, decade)
	}
	var line []string
	for _, p := range s.points {
		line = append(line, fmt.Sprintf("%.1f,%.1f", x(p), y(p)))
	}
	fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="#1a73e8" stroke-width="2"/>`+"\n", strings.Join(line, " "))
	for _, p := range s.points {
		fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="#1a73e8"/><text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n", x(p), y(p), x(p), y(p)-7, short(p.cost))
	}
	return b.String()
}

// level is the cost's logarithm. What costs nothing stands at a hundredth.
func level(p point) float64 { return math.Log10(max(p.cost, 0.01)) }
