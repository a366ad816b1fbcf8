package judge

import (
	"slices"
	"time"
)

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
	// Apart is a clock that is set apart: that excuses nothing.
	Apart = "clocks set apart"
)

// excused reports whether a fault explains that a request had no answer: its process
// was dead, or had been told to end before the request was sent. A process that drains
// answers what it was sent before.
func excused(faults []Record, r Record) bool {
	return slices.ContainsFunc(faults, func(f Record) bool {
		if f.Of != r.Of || f.At > r.until() || f.until() < r.At {
			return false
		}
		return f.Kind == Killed || f.Kind == Ended || f.Kind == Starting || f.Kind == Drained && f.At <= r.At
	})
}

// held returns for how long of a request its process was paused.
func held(faults []Record, r Record) (ns int64) {
	for _, f := range faults {
		if f.Of == r.Of && f.Kind == Paused {
			ns += max(0, min(f.until(), r.until())-max(f.At, r.At))
		}
	}
	return ns
}

// judgeBounds: every request is answered, within its bound.
func (v *Verdict) judgeBounds(h *History, b Bounds) {
	faults := h.of(Fault)
	calm := calmAt(h)
	v.judgeEnds(faults, h.of(Process), b)
	for _, r := range h.of(Check, Claim, Take, Health) {
		if r.Of == "" || during(faults, r, 0, LastRelease, Starting) {
			continue
		}
		v.Judged["answers held against their bound"]++
		took := r.until() - r.At - held(faults, r)
		switch {
		case r.Status == 0 && !excused(faults, r):
			v.violation("every request is answered", "%s: %s %s%s%s at %s had no answer", r.Of, r.Type, r.Resource, r.Action, r.Path, at(r.At))
		case r.Status != 0 && took > ms(b.Answer):
			v.violation("every answer comes within its bound", "%s: %s %s%s%s at %s took %s", r.Of, r.Type, r.Resource, r.Action, r.Path, at(r.At), time.Duration(took))
		case r.Status == unavailable && r.Type != Health && r.At > calm+ms(b.Notice):
			v.violation("nothing is unavailable after the trouble", "%s: %s %s%s at %s was answered 503", r.Of, r.Type, r.Resource, r.Action, at(r.At))
		}
	}
}

// calmAt returns when the trouble was over; never if it was not.
func calmAt(h *History) int64 {
	for _, r := range h.of(Calm) {
		return r.At
	}
	return never
}

// judgeEnds: no process ends by itself, except at its start, if a fault keeps it from
// what it needs.
func (v *Verdict) judgeEnds(faults, starts []Record, b Bounds) {
	others := slices.DeleteFunc(slices.Clone(faults), func(f Record) bool { return f.Kind == Ended })
	for _, f := range faults {
		if end := (Record{Of: f.Of, At: f.At, Until: f.At}); f.Kind == Ended &&
			(!young(starts, end, ms(b.Notice)) || !during(others, end, ms(b.Notice))) {
			v.violation("no process ends by itself", "%s ended at %s with %d", f.Of, at(f.At), f.Status)
		}
	}
}
