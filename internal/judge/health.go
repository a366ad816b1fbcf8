package judge

import (
	"slices"
	"strings"
)

// judgeHealth: every health answer tells the truth.
//
//   - /livez is 200 as long as the process runs.
//   - /readyz of serve is 200 until its signal, whatever else is away, and not after it.
//   - /readyz of a worker is not 200 once it has been cut off for as long as it may take
//     to notice; and it is 200 if nothing has befallen it for that long.
//
// How long a worker has run, and what has befallen it, is known from faults: one that
// names no process befalls all.
func (v *Verdict) judgeHealth(h *History, b Bounds) {
	faults := faultsOf(h)
	starts := h.all(Process)
	for r := range h.of(Health) {
		if r.Status == 0 || faults.during(r, 0, LastRelease, Starting) {
			continue // judgeBounds asks why there is none
		}
		v.Judged["answers about health"]++
		r.Until -= faults.held(r)
		good := r.Status == ok
		switch worker := strings.HasPrefix(r.Of, "worker"); {
		case r.Path == "/livez":
			v.health(r, good, "the process runs")
		case r.Path != "/readyz":
		case faults.drain(r):
			v.health(r, !good, "it had its signal")
		case faults.during(r, 0, Drained, Killed, Ended, Starting):
		case !worker:
			v.health(r, good, "nobody had told it to end")
		case faults.cutOff(r, ms(b.Notice)):
			v.health(r, !good, "it had long been cut off")
		case !faults.during(r, ms(b.Notice)) && !young(starts, r, ms(b.Notice)):
			v.health(r, good, "nothing had befallen it")
		}
	}
}

func (v *Verdict) health(r Record, true bool, fact string) {
	if !true {
		v.violation("every health answer tells the truth", "%s said %d at %s at %s, though %s", r.Of, r.Status, r.Path, at(r.At), fact)
	}
}

// young reports whether the process was started a short time before.
func young(starts []Record, r Record, within int64) bool {
	return slices.ContainsFunc(starts, func(p Record) bool {
		return p.Of == r.Of && p.Kind == "started" && p.At < r.At && p.At > r.At-within
	})
}
