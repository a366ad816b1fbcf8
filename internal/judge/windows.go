package judge

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/anishathalye/porcupine"
)

// counted is a window, and the units that were admitted in it.
type counted struct{ limit, admitted int64 }

// A window begins with nothing admitted, and admits no more than its limit. A refusal
// may be early (design §7), so it says nothing.
var windowModel = porcupine.Model{
	Init: func() any { return counted{} },
	Step: func(state, input, _ any) (bool, any) {
		r, w := input.(Record), state.(counted)
		if r.Type == Window {
			return true, counted{limit: r.N}
		}
		w.admitted += r.N
		return w.admitted <= w.limit, w
	},
}

// judgeWindows: no window admits more than its limit. What a window is, its document
// says; when a unit was admitted is known up to the time of its answer.
func (v *Verdict) judgeWindows(h *History) {
	type key struct{ tenant, action string }
	windows, taken := map[key][]Record{}, map[key][]Record{}
	for r := range h.of(Window, Take) {
		k := key{r.Tenant, r.Action}
		switch {
		case r.Type == Window:
			windows[k] = append(windows[k], r)
		case r.Status == noContent:
			taken[k] = append(taken[k], r)
		case r.Status == limited:
			v.Judged["requests that the throttle refused"]++
		}
	}
	for k, all := range taken {
		for _, run := range between(windows[k], all) {
			v.window(k.tenant+" "+k.action, run)
		}
	}
}

// between cuts the answers of one key at those moments at which none was outstanding
// and a window begins, so that each search is short.
func between(windows, taken []Record) (runs [][]Record) {
	all := append(slices.Clone(windows), taken...)
	slices.SortFunc(all, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(b.Type, a.Type)) // windows first
	})
	var until int64
	for _, r := range all {
		if len(runs) == 0 || r.Type == Window && r.At-slack > until {
			runs = append(runs, nil)
		}
		runs[len(runs)-1] = append(runs[len(runs)-1], r)
		if r.Type == Take {
			until = max(until, r.until())
		}
	}
	return runs
}

// slack is how far the clocks of the store and of the recorder may be apart, on one
// machine.
const slack = int64(5 * time.Millisecond)

func (v *Verdict) window(name string, run []Record) {
	var ops []porcupine.Operation
	units := int64(0)
	for i, r := range run {
		op := porcupine.Operation{ClientId: i, Input: r, Call: r.At, Return: r.until()}
		if r.Type == Window {
			op.Call, op.Return = r.At-slack, r.At+slack
		} else {
			units += r.N
		}
		ops = append(ops, op)
	}
	v.Judged["units of windows counted"] += int(units)
	switch porcupine.CheckOperationsTimeout(windowModel, ops, patience) {
	case porcupine.Illegal:
		v.violation("no window admits more than its limit", "%s: %d units in %v", name, units, windowsIn(run))
	case porcupine.Unknown:
		if sure := inside(run); sure != "" {
			v.violation("no window admits more than its limit", "%s: %s", name, sure)
		}
		v.Judged["windows with too many answers to put in order"]++
	}
}

// inside adds up what was admitted inside one window for certain, and returns what is
// too much.
func inside(run []Record) string {
	for _, w := range run {
		if w.Type != Window {
			continue
		}
		units := int64(0)
		for _, r := range run {
			if r.Type == Take && r.At >= w.At-slack && r.until() <= w.Until {
				units += r.N
			}
		}
		if units > w.N {
			return strconv.FormatInt(units, 10) + " units in the window of " + at(w.At) + ", which has " + strconv.FormatInt(w.N, 10)
		}
	}
	return ""
}

func windowsIn(run []Record) (all []string) {
	for _, r := range run {
		if r.Type == Window {
			all = append(all, at(r.At)+" ("+strconv.FormatInt(r.N, 10)+")")
		}
	}
	return all
}

func status(code int) string { return strconv.Itoa(code) }
