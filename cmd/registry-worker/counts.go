package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/replay"
)

// printCounts prints the counts of lines, or of messages, by event and by outcome.
func printCounts(out io.Writer, counts replay.Counts, noun, changed, unchanged string) {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "what\t"+noun+"s\tapplied\tinapplicable\tgone\tduplicate\trefused\t")
	row := func(what string, v map[handlers.Outcome]int) {
		total := 0
		for _, n := range v {
			total += n
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t\n", what, total, v[handlers.Applied], v[handlers.Inapplicable], v[handlers.Gone], v[handlers.Duplicate], v[handlers.Refused])
	}
	sum := map[handlers.Outcome]int{}
	for _, what := range replay.Whats {
		if counts[what] != nil {
			row(string(what), counts[what])
		}
		for outcome, n := range counts[what] {
			sum[outcome] += n
		}
	}
	row("all", sum)
	t.Flush()
	if n := counts.Changing(); n > 0 {
		fmt.Fprintf(out, "%s %s the registry\n", counted(n, noun, noun+"s"), changed)
	} else {
		fmt.Fprintf(out, "nothing %s\n", unchanged)
	}
}
