package main

import (
	"fmt"
	"io"

	"github.com/northstar-engines/realtime-registry/internal/erasure"
)

// erasureSteps shows how far an erasure is: a line at the beginning of each step, and
// then a progress.
type erasureSteps struct {
	out  io.Writer
	step erasure.Step
	bar  *progress
}

// stepTexts say what a step is, and what it counts.
var stepTexts = map[erasure.Step]struct{ begins, one, done string }{
	erasure.ReadLedger: {"reading the ledger for moves that name the tenant", "entry", "read"},
	erasure.Documents:  {"deleting what the tenant owns, and taking its name out of what it had", "document", "done"},
	erasure.Wait:       {"waiting until no process is left that could still write the name", "second", "waited"},
	erasure.Moves:      {"renaming the moves of whole tenants that name it", "move", "renamed"},
	erasure.Beside:     {"deleting its throttle windows, and taking its name out of operators' records", "document", "looked at"},
	erasure.Search:     {"searching everything that the database holds for the name", "document", "searched"},
}

func (s *erasureSteps) at(p erasure.Progress) {
	text := stepTexts[p.Step]
	if s.bar == nil || p.Step != s.step {
		s.clear()
		fmt.Fprintln(s.out, text.begins)
		s.step, s.bar = p.Step, newProgress(s.out, text.one, text.done)
	}
	s.bar.at(int(p.Done), p.Done, p.Total)
}

// clear ends the step, and makes room for another line on a terminal.
func (s *erasureSteps) clear() {
	if s.bar != nil {
		s.bar.clear()
	}
	s.bar = nil
}
