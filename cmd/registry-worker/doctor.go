package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

var doctorCommand = command{
	Name:    "doctor",
	Summary: "say what is missing or wrong, each with the command that fixes it",
	Details: "Checks the database, the indexes and expiry of its fields, what is stored and which\n" +
		"release it needs, which processes run and of which releases, the rewriting, this\n" +
		"machine's clock, topics, subscriptions, and what these credentials may do there; how\n" +
		"long events wait; and the dead letters. It changes nothing: the few messages that it\n" +
		"looks at are released at once.\n\n" +
		"What is wrong is a fault, and the exit code is 1. What may become a problem later is a\n" +
		"warning. It also says what it could not check.",
	Examples: []string{
		"registry-worker doctor --project my-project",
		"registry-worker doctor --project my-project --json",
	},
	Groups: []config.Group{config.JSONGroup, config.ProjectGroup, config.RegistryGroup, config.PubSubGroup, config.ClaimsGroup, config.LogGroup},
	Rules:  []config.Rule{config.NeedProject, config.NeedSharedRegistry("this process's memory is empty: want firestore"), config.NeedTopicNames},
	Run:    runDoctor,
}

// verdict is the result of one check.
type verdict string

const (
	fine    verdict = "ok"
	warning verdict = "warning"
	wrong   verdict = "fault"
	unseen  verdict = "unknown" // it could not be checked
)

// finding is one line of the result, in the form of --json.
type finding struct {
	Verdict verdict `json:"verdict"` // ok, warning, fault or unknown
	What    string  `json:"what"`    // clock, database, fields, ledger, rewriting, subscription NAME, …
	Detail  string  `json:"detail"`
	Fix     string  `json:"fix,omitempty"` // what to type or do
}

// doctor gathers findings.
type doctor struct {
	*invocation
	found []finding
}

func (d *doctor) say(v verdict, what, detail, fix string) {
	d.found = append(d.found, finding{v, what, detail, fix})
}

// fault reports an error, with what fixes it.
func (d *doctor) fault(what string, err error, fix string) {
	d.say(wrong, what, terminal.Line(strings.ReplaceAll(err.Error(), "\n", "; ")), fix)
}

// errUnwell ends a command that has printed the faults already.
var errUnwell = errors.New("something is wrong")

func runDoctor(ctx context.Context, in *invocation) error {
	d := &doctor{invocation: in}
	d.say(fine, "program", buildVersion().String(), "")
	d.firestore(ctx)
	d.pubsub(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := d.print(); err != nil {
		return err
	}
	for _, f := range d.found {
		if f.Verdict == wrong {
			return errUnwell
		}
	}
	return nil
}

func (d *doctor) print() error {
	if d.Config.JSON {
		lines := terminal.JSON(d.Stdout)
		for _, f := range d.found {
			if err := lines.Encode(f); err != nil {
				return err
			}
		}
		return nil
	}
	count := map[verdict]int{}
	for _, f := range d.found {
		count[f.Verdict]++
		fmt.Fprintf(d.Stdout, "%-8s %s: %s\n", f.Verdict, f.What, f.Detail)
		if f.Fix != "" {
			fmt.Fprintf(d.Stdout, "         → %s\n", f.Fix)
		}
	}
	_, err := fmt.Fprintf(d.Stdout, "%s, %s, %d not looked at\n",
		counted(count[wrong], "fault", "faults"), counted(count[warning], "warning", "warnings"), count[unseen])
	return err
}

// Bounds on the difference between this machine's clock and the store's. Events are
// refused whose time is more than --max-clock-skew (5 minutes) ahead.
const (
	skewWarning = time.Second
	skewFault   = time.Minute
)

// clock compares this machine's clock with the time of a read that took place
// between before and after.
func (d *doctor) clock(before, read, after time.Time) {
	skew := time.Duration(0)
	switch {
	case read.Before(before):
		skew = before.Sub(read)
	case read.After(after):
		skew = after.Sub(read)
	}
	v, fix := fine, ""
	if skew.Abs() > skewWarning {
		v, fix = warning, "synchronize the clock, such as by `timedatectl set-ntp true`: the times of moves and claims, and the ages of answers, go by it"
	}
	if skew.Abs() > skewFault {
		v = wrong
	}
	text := "as Firestore's"
	if skew != 0 {
		text = fmt.Sprintf("%s from Firestore's, at least", skew.Round(time.Millisecond))
	}
	d.say(v, "clock", text, fix)
}
