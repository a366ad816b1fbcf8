package judge

import (
	"slices"
	"strings"
	"time"
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
	faults := h.of(Fault)
	starts := h.of(Process)
	for _, r := range h.of(Health) {
		if r.Status == 0 || during(faults, r, 0, LastRelease, Starting) {
			continue // judgeBounds asks why there is none
		}
		v.Judged["answers about health"]++
		r.Until -= held(faults, r)
		good := r.Status == ok
		switch worker := strings.HasPrefix(r.Of, "worker"); {
		case r.Path == "/livez":
			v.health(r, good, "the process runs")
		case r.Path != "/readyz":
		case drains(faults, r):
			v.health(r, !good, "it had its signal")
		case during(faults, r, 0, Drained, Killed, Ended, Starting):
		case !worker:
			v.health(r, good, "nobody had told it to end")
		case cutOff(faults, r, ms(b.Notice)):
			v.health(r, !good, "it had long been cut off")
		case !during(faults, r, ms(b.Notice)) && !young(starts, r, ms(b.Notice)):
			v.health(r, good, "nothing had befallen it")
		}
	}
}

func (v *Verdict) health(r Record, true bool, fact string) {
	if !true {
		v.violation("every health answer tells the truth", "%s said %d at %s at %s, though %s", r.Of, r.Status, r.Path, at(r.At), fact)
	}
}

// drains reports whether the process had been told to end well before it was asked.
func drains(faults []Record, r Record) bool {
	return slices.ContainsFunc(faults, func(f Record) bool {
		return f.Kind == Drained && f.Of == r.Of && f.At+int64(time.Second) < r.At && r.until() < f.until()
	})
}

// cutOff reports whether one fault kept the process off for as long as that, up to its
// answer.
func cutOff(faults []Record, r Record, within int64) bool {
	return slices.ContainsFunc(faults, func(f Record) bool {
		return f.Kind == CutOff && f.Of == r.Of && f.At+within < r.At && r.until() < f.until()
	})
}

// during reports whether any fault, of these kinds if there are some, befell the
// process while it was asked or a time before.
func during(faults []Record, r Record, before int64, kinds ...string) bool {
	return slices.ContainsFunc(faults, func(f Record) bool {
		return (f.Of == "" || f.Of == r.Of) && (f.Kind != Apart && f.Kind != Starting || len(kinds) > 0) && f.At < r.until() && f.until() > r.At-before &&
			(len(kinds) == 0 || slices.Contains(kinds, f.Kind))
	})
}

// young reports whether the process was started a short time before.
func young(starts []Record, r Record, within int64) bool {
	return slices.ContainsFunc(starts, func(p Record) bool {
		return p.Of == r.Of && p.Kind == "started" && p.At < r.At && p.At > r.At-within
	})
}
