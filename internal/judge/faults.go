package judge

import (
	"slices"
	"time"
)

// faults are what befell processes, by the process; those that befell all are "".
type faults map[string][]fault

type fault struct {
	kind      string
	at, until int64
}

func faultsOf(h *History) faults {
	all := faults{}
	for r := range h.of(Fault) {
		all[r.Of] = append(all[r.Of], fault{r.Kind, r.At, r.until()})
	}
	return all
}

// ending is for how long, in nanoseconds, a process that ends by itself may have taken
// no requests before it is gone: it closes what it had opened, and waits for what is
// being published to the registry's log (outbox.Options.Drain).
const ending = int64(5 * time.Second)

// excuse reports whether a fault explains that a request had no answer: its process
// was dead, or had been told to end before the request was sent. A process that drains
// answers what it was sent before.
func (all faults) excuse(r Record) bool {
	for _, f := range all[r.Of] {
		begun := f.at
		if f.kind == Ended {
			begun -= ending
		}
		if begun > r.until() || f.until < r.At {
			continue
		}
		if f.kind == Killed || f.kind == Ended || f.kind == Starting || f.kind == Drained && f.at <= r.At {
			return true
		}
	}
	return false
}

// held returns for how long of a request its process was paused.
func (all faults) held(r Record) (ns int64) {
	for _, f := range all[r.Of] {
		if f.kind == Paused {
			ns += max(0, min(f.until, r.until())-max(f.at, r.At))
		}
	}
	return ns
}

// drain reports whether the process had been told to end well before it was asked.
func (all faults) drain(r Record) bool {
	for _, f := range all[r.Of] {
		if f.kind == Drained && f.at+int64(time.Second) < r.At && r.until() < f.until {
			return true
		}
	}
	return false
}

// cutOff reports whether one fault kept the process off for as long as that, up to its
// answer.
func (all faults) cutOff(r Record, within int64) bool {
	for _, f := range all[r.Of] {
		if f.kind == CutOff && f.at+within < r.At && r.until() < f.until {
			return true
		}
	}
	return false
}

// during reports whether any fault, of these kinds if there are some, befell the
// process while it was asked or a time before.
func (all faults) during(r Record, before int64, kinds ...string) bool {
	return all.any(r, before, func(kind string) bool {
		if len(kinds) == 0 {
			return kind != Apart && kind != Starting
		}
		return slices.Contains(kinds, kind)
	})
}

// duringOther is during for faults of all kinds except one.
func (all faults) duringOther(r Record, before int64, except string) bool {
	return all.any(r, before, func(kind string) bool { return kind != Apart && kind != Starting && kind != except })
}

func (all faults) any(r Record, before int64, is func(kind string) bool) bool {
	for _, of := range []string{r.Of, ""} {
		for _, f := range all[of] {
			if f.at < r.until() && f.until > r.At-before && is(f.kind) {
				return true
			}
		}
	}
	return false
}
