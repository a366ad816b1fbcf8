package judge

import "time"

// Kinds of faults that the judge knows, since a process cannot answer under them.
// (There are others, which excuse nothing here.)
const (
	Killed   = "process killed"
	Paused   = "process paused"
	Drained  = "process drained"
	Ended    = "process ended by itself" // Status is its exit code
	Starting = "process starting"        // until it answers
	CutOff   = "process cut off"         // from Firestore and Pub/Sub, entirely
	// LastRelease is what runs in place of the process, and is not held to what was
	// promised later.
	LastRelease = "last release"
	// Command and its kind stand for a command of an operator that succeeded.
	Command = "operator: "
	// Apart is a clock that is set apart: that excuses nothing.
	Apart = "clocks set apart"
)

// judgeBounds: every request is answered, within its bound.
func (v *Verdict) judgeBounds(h *History, b Bounds) {
	faults, calm, machine := faultsOf(h), calmAt(h), lateness(h)
	v.judgeEnds(h, faults, b)
	for r := range h.of(Check, Claim, Take, Health) {
		if r.Of == "" || faults.during(r, 0, LastRelease, Starting) {
			continue
		}
		v.Judged["answers held against their bound"]++
		took := r.until() - r.At - faults.held(r)
		switch {
		case r.Status == 0 && faults.held(r) > ms(b.Answer) && took <= ms(b.Answer):
			// it was paused for so long that the other side gave up, or its own server
		case r.Status == 0 && !faults.excuse(r):
			v.violation("every request is answered", "%s: %s %s%s%s at %s had no answer", r.Of, r.Type, r.Resource, r.Action, r.Path, at(r.At))
		case r.Status != 0 && took > ms(b.Answer) && took-machine.during(r) <= ms(b.Answer):
			v.Judged["answers that were late because the machine was"]++
		case r.Status != 0 && took > ms(b.Answer):
			v.violation("every answer comes within its bound", "%s: %s %s%s%s at %s took %s", r.Of, r.Type, r.Resource, r.Action, r.Path, at(r.At), time.Duration(took))
		case r.Status == unavailable && r.Type != Health && r.At > calm+ms(b.Notice):
			v.violation("nothing is unavailable after the trouble", "%s: %s %s%s at %s was answered 503", r.Of, r.Type, r.Resource, r.Action, at(r.At))
		}
	}
}

// calmAt returns when the trouble was over; never if it was not.
func calmAt(h *History) int64 {
	for r := range h.of(Calm) {
		return r.At
	}
	return never
}

// judgeEnds: no process ends by itself, except at its start, if a fault keeps it from
// what it needs.
func (v *Verdict) judgeEnds(h *History, faults faults, b Bounds) {
	starts := h.all(Process)
	for f := range h.of(Fault) {
		if end := (Record{Of: f.Of, At: f.At, Until: f.At}); f.Kind == Ended &&
			(!young(starts, end, ms(b.Notice)) || !faults.duringOther(end, ms(b.Notice), Ended)) {
			v.violation("no process ends by itself", "%s ended at %s with %d", f.Of, at(f.At), f.Status)
		}
	}
}
