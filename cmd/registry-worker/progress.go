package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/telemetry"
)

// progress shows how far a long command is: on a terminal a bar, redrawn in place,
// elsewhere a plain line now and then. One goroutine may use it.
type progress struct {
	out      io.Writer
	one      string // what is counted, in the singular: "event"
	done     string // what is done with it, or empty: "published"
	terminal bool
	began    time.Time
	told     time.Time
	now      func() time.Time
}

const (
	redrawEvery = 100 * time.Millisecond
	lineEvery   = 5 * time.Second
	barWidth    = 30
)

func newProgress(out io.Writer, one, done string) *progress {
	return &progress{out: out, one: one, done: done, terminal: telemetry.IsTerminal(out), began: time.Now(), now: time.Now}
}

// at reports that count are done, with read of total bytes; total is negative if it
// is not known. It is cheap enough to call for each one.
func (p *progress) at(count int, read, total int64) {
	now := p.now()
	every := lineEvery
	if p.terminal {
		every = redrawEvery
	}
	if p.told.IsZero() {
		p.told = p.began
	}
	if now.Sub(p.told) < every {
		return
	}
	p.told = now
	if p.terminal {
		fmt.Fprintf(p.out, "\r%s\x1b[K", bar(read, total)+p.text(now, count, read, total))
	} else {
		fmt.Fprintln(p.out, strings.TrimSpace(p.text(now, count, read, total)))
	}
}

// clear makes room for another line on a terminal.
func (p *progress) clear() {
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

// end prints the total.
func (p *progress) end(count int) {
	p.clear()
	took := p.now().Sub(p.began)
	if count == 0 {
		fmt.Fprintln(p.out, p.counted(0))
		return
	}
	fmt.Fprintf(p.out, "%s in %s, %s\n", p.counted(count), took.Round(time.Millisecond), rate(count, took))
}

func (p *progress) text(now time.Time, count int, read, total int64) string {
	took := now.Sub(p.began)
	text := fmt.Sprintf(" %s, %s", p.counted(count), rate(count, took))
	if total <= 0 || read <= 0 {
		return text
	}
	left := time.Duration(float64(took) * float64(total-read) / float64(read))
	return fmt.Sprintf(" %3d%%%s, %s left", 100*read/total, text, max(left, 0).Round(time.Second))
}

// counted returns the count with its unit: "1 event published".
func (p *progress) counted(count int) string {
	return strings.TrimSpace(counted(count, p.one, p.one+"s") + " " + p.done)
}

func rate(count int, took time.Duration) string {
	if took <= 0 {
		return "0/s"
	}
	return fmt.Sprintf("%.0f/s", float64(count)/took.Seconds())
}

func bar(read, total int64) string {
	if total <= 0 {
		return ""
	}
	full := int(min(read, total) * barWidth / total)
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", barWidth-full) + "]"
}
