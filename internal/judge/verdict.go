package judge

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// A Violation is a promise that a history shows broken.
type Violation struct {
	Rule   string `json:"rule"`
	Detail string `json:"detail"`
}

// A Verdict is what a judge has to say of a history.
type Verdict struct {
	Seed       uint64         `json:"seed,omitempty"`
	Violations []Violation    `json:"violations"`
	Judged     map[string]int `json:"judged"`            // how much was judged, by what
	Met        map[string]int `json:"met,omitempty"`     // how often each kind of trouble occurred
	Missing    []string       `json:"missing,omitempty"` // kinds that the run should have met, and did not
}

// Good reports whether nothing is broken and nothing was missing.
func (v *Verdict) Good() bool { return len(v.Violations) == 0 && len(v.Missing) == 0 }

func (v *Verdict) violation(rule, format string, args ...any) {
	v.Violations = append(v.Violations, Violation{rule, fmt.Sprintf(format, args...)})
}

// ErrNothing is the error of a history that there is nothing to judge by.
var ErrNothing = errors.New("there is nothing to judge by: want the history of a run, or an archive (export --events) and an export of one registry")

// Judge judges a history.
func Judge(h *History) (*Verdict, error) {
	v := &Verdict{Violations: []Violation{}, Judged: map[string]int{}, Met: map[string]int{}}
	run, isRun := h.run()
	if !isRun && (h.Archive == nil || h.Export == nil) {
		return nil, ErrNothing
	}
	if h.Archive != nil && h.Export != nil {
		v.judgeArchive(h)
	}
	if !isRun {
		return v, nil
	}
	v.Seed = run.Seed
	if err := v.named(h); err != nil {
		return nil, err
	}
	truth := newTruth(h)
	v.judgeErasures(h, truth)
	v.judgeTombstones(h, truth)
	v.judgeEvents(h, truth)
	v.judgeEnd(h, truth)
	v.judgeAnswers(h, truth, *run.Bounds)
	v.judgeWatches(h, truth, *run.Bounds)
	v.judgeStreams(h, truth, *run.Bounds)
	v.judgeClaims(h, truth)
	v.judgeWindows(h)
	v.judgeLog(h, truth)
	v.judgeBounds(h, *run.Bounds)
	v.judgeHealth(h, *run.Bounds)
	v.judgeAfter(h, *run.Bounds)
	for f := range h.of(Fault) {
		if f.Kind != Starting { // which follows on another
			v.Met[f.Kind]++
		}
	}
	for r := range h.of(Operator) {
		if r.Until != 0 && r.Status == 0 {
			v.Met[Command+r.Kind]++
		}
	}
	for _, kind := range run.Must {
		if v.Met[kind] == 0 {
			v.Missing = append(v.Missing, kind)
		}
	}
	return v, nil
}

// most is how many violations of one rule are printed.
const most = 10

// Print writes the verdict for people. The error is that of the writer.
func (v *Verdict) Print(out io.Writer) error {
	var errs []error
	say := func(format string, args ...any) {
		_, err := fmt.Fprintf(out, format+"\n", args...)
		errs = append(errs, err)
	}
	for _, what := range slices.Sorted(maps.Keys(v.Judged)) {
		say("%9d  %s", v.Judged[what], what)
	}
	for _, kind := range slices.Sorted(maps.Keys(v.Met)) {
		say("%9d  trouble: %s", v.Met[kind], kind)
	}
	for _, kind := range v.Missing {
		say("not met: %s", kind)
	}
	byRule := map[string]int{}
	slices.SortStableFunc(v.Violations, func(a, b Violation) int { return cmp.Compare(a.Rule, b.Rule) })
	for _, x := range v.Violations {
		if byRule[x.Rule]++; byRule[x.Rule] <= most {
			say("VIOLATION %s: %s", x.Rule, x.Detail)
		}
	}
	for _, rule := range slices.Sorted(maps.Keys(byRule)) {
		if n := byRule[rule]; n > most {
			say("VIOLATION %s: %d times in all", rule, n)
		}
	}
	return errors.Join(errs...)
}
