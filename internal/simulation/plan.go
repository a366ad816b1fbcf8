package simulation

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Plan makes a run: who does what, in which order, and what befalls them.
type Plan struct {
	Throttle bool   // the throttle's world; else the registry's
	Seed     uint64 // what there is to do
	Schedule uint64 // who goes on when, and what befalls them; 0: by Seed
	// Without names what is left out: processes, events, kinds of trouble.
	Without []string
	// With names the shapes of the plan (Shapes).
	With  []string
	Steps int               // until trouble ends; 0: by Schedule
	Rules Rules             // that are left out
	Trace func(step string) // nil: steps are not reported
}

func (p Plan) schedule() uint64 { return cmp.Or(p.Schedule, p.Seed) }

func (p Plan) without(part string) bool { return slices.Contains(p.Without, part) }

func (p Plan) with(shape string) bool { return slices.Contains(p.With, shape) }

// String is the plan as ParsePlan takes it, except Rules and Trace.
func (p Plan) String() string {
	text := fmt.Sprint("registry:", p.Seed)
	if p.Throttle {
		text = fmt.Sprint("throttle:", p.Seed)
	}
	if p.Schedule != 0 {
		text += fmt.Sprint(";schedule:", p.Schedule)
	}
	if p.Steps != 0 {
		text += fmt.Sprint(";steps:", p.Steps)
	}
	if len(p.With) > 0 {
		text += ";with:" + strings.Join(p.With, ",")
	}
	if len(p.Without) > 0 {
		text += ";without:" + strings.Join(p.Without, ",")
	}
	return text
}

// ParsePlan is the inverse of Plan.String.
func ParsePlan(text string) (p Plan, err error) {
	for field := range strings.SplitSeq(text, ";") {
		name, value, ok := strings.Cut(field, ":")
		if !ok {
			return Plan{}, fmt.Errorf("plan %q: %q is not name:value", text, field)
		}
		switch name {
		case "registry", "throttle":
			p.Throttle = name == "throttle"
			p.Seed, err = strconv.ParseUint(value, 10, 64)
		case "schedule":
			p.Schedule, err = strconv.ParseUint(value, 10, 64)
		case "steps":
			p.Steps, err = strconv.Atoi(value)
		case "with":
			p.With = strings.Split(value, ",")
		case "without":
			p.Without = strings.Split(value, ",")
		default:
			err = fmt.Errorf("there is no %q: a plan has registry or throttle, schedule, steps, with, without", name)
		}
		if err != nil {
			return Plan{}, fmt.Errorf("plan %q: %w", text, err)
		}
	}
	return p, nil
}

// Failure is what did not hold in a run.
type Failure struct {
	Plan   Plan
	Err    error
	events []string // what there was to do
	steps  []string // if they were traced
}

// Error is what did not hold, what there was to do, and how to run it again.
func (f *Failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: %v\nto do:\n", f.Plan, f.Err)
	for _, e := range f.events {
		fmt.Fprintf(&b, "  %s\n", e)
	}
	if len(f.steps) > 0 {
		fmt.Fprintf(&b, "done, by seconds:\n%s\n", strings.Join(f.steps, "\n"))
	}
	fmt.Fprintf(&b, "again: go test ./internal/simulation -run TestOnePlan -v -simulation.plan %q", f.Plan)
	return b.String()
}

// Unwrap returns what did not hold.
func (f *Failure) Unwrap() error { return f.Err }
