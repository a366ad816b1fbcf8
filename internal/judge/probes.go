package judge

import (
	"cmp"
	"slices"
)

// probes are bare requests, one after the other, in the order of time. They go from the
// process that asks to one that does nothing, so how long one takes is the machine's
// doing alone.
type probes []Record

// lateness returns the probes of a history that took long enough to be recorded.
func lateness(h *History) probes {
	all := h.all(Probe)
	slices.SortFunc(all, func(a, b Record) int { return cmp.Compare(a.At, b.At) })
	return all
}

// during returns by how much, in nanoseconds, the machine may have made an answer late:
// a request has two ways, and each took no longer than the longest probe meanwhile.
func (p probes) during(r Record) (ns int64) {
	// They are one after the other, so ordered by their ends too.
	first, _ := slices.BinarySearchFunc(p, r.At, func(p Record, at int64) int { return cmp.Compare(p.Until, at) })
	for _, probe := range p[first:] {
		if probe.At > r.until() {
			break
		}
		ns = max(ns, 2*(probe.Until-probe.At))
	}
	return ns
}
