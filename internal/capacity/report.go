package capacity

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Report is everything, as Markdown.
func (p Parameters) Report() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }

	line("| | |\n| --- | ---: |")
	line("| tenants, resources | %s, %s |", count(p.Tenants), count(p.Resources))
	line("| creations a day, events/s at the peak | %s, %.0f |", count(p.Creations), p.PeakEvents())
	line("| open streams, read again within (`--max-age`) | %s, %v |", count(p.Streams), p.MaxAge)
	line("| access checks/s, of which the cache answers | %s, %.0f %% |", count(p.Checks), p.CacheHits*100)
	line("| all these resources, written once | %s, %v by one process |", dollars(p.Resources*writesPerCreation*perWrite), p.Writing(p.Resources).Round(time.Minute))
	line("| workers of one core | %.0f |", p.WorkersNeeded())
	line("| stored in Firestore | %s (%.0f bytes a resource, with indexes) |", size(p.StoredBytes()), DocumentBytes())
	line("| the ledger after %.0f years, in each process | %s |", p.Years, size(p.LedgerBytes()))
	line("| a move of the largest tenant (%s): verifiers, direct readers | at once, %v |", count(p.LargestTenant), p.Rewriting(p.LargestTenant).Round(time.Minute))
	average := p.Resources / max(1, p.Tenants)
	line("| 10,000 tenants of the average size, %s, moved at once: verifiers, direct readers | at once, %v |", count(average), p.Rewriting(10_000*average).Round(time.Minute))

	line("\n| a month | reads | writes | deletes | dollars |\n| --- | ---: | ---: | ---: | ---: |")
	total := 0.0
	for _, l := range p.Bill() {
		line("| %s | %s | %s | %s | %.2f |", l.Work, count(l.Reads), count(l.Writes), count(l.Deletes), l.Dollars)
		total += l.Dollars
	}
	line("| **all** | | | | **%.2f** |", total)

	line("\n| limit | bound | used at the peak | beyond it |\n| --- | --- | ---: | --- |")
	for _, l := range p.Limits() {
		line("| %s | %s | %s | %s |", l.Name, l.Bound, share(l.Used), l.Beyond)
	}
	if next := p.nextWall(); next.Used > 0 {
		line("\nThe next wall: %s, at %s of %s.", next.Name, share(next.Used), next.Bound)
	}
	return b.String()
}

// count is a number as people write it.
func count(n float64) string {
	switch {
	case n == 0:
		return "0"
	case n < 10 && n != math.Trunc(n):
		return fmt.Sprintf("%.1f", n)
	case n >= 1e9:
		return fmt.Sprintf("%.4g billion", n/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.4g million", n/1e6)
	}
	digits := fmt.Sprintf("%.0f", n)
	if len(digits) > 3 {
		digits = digits[:len(digits)-3] + "," + digits[len(digits)-3:]
	}
	return digits
}

func dollars(n float64) string { return fmt.Sprintf("$%.2f", n) }

func size(bytes float64) string {
	switch {
	case bytes >= gib:
		return fmt.Sprintf("%.1f GiB", bytes/gib)
	case bytes >= 1<<20:
		return fmt.Sprintf("%.1f MiB", bytes/(1<<20))
	}
	return fmt.Sprintf("%.0f KiB", bytes/(1<<10))
}

func share(used float64) string {
	switch {
	case used == 0:
		return "–"
	case used < 0.001:
		return "< 0.1 %"
	}
	return fmt.Sprintf("%.1f %%", used*100)
}
