package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
	"github.com/northstar-engines/realtime-registry/registry"
)

// then says who owned a resource at a past time.
type then struct {
	At    time.Time `json:"at"`
	Owner string    `json:"owner"` // "" if it was not registered
	Steps []step    `json:"steps"` // of that time
	// Retracted are the moves of whole tenants that counted then and do not now, with
	// who took them back, when and why.
	Retracted []takenBack `json:"retracted_since,omitempty"`
	// Unsure says what is not known about that time.
	Unsure []string `json:"unsure,omitempty"`
	// During is who owned it in the course of the day, if --at is a day. Owner and Steps
	// are then those of the day's beginning.
	During []during `json:"during,omitempty"`
}

type takenBack struct {
	ID     string    `json:"event_id"`
	Source string    `json:"source"`
	At     time.Time `json:"at"`
	By     string    `json:"by,omitempty"`
	Why    string    `json:"reason,omitempty"`
}

// ownerAt returns who owned the resource at a time, as far as it is known today:
// from the events of that time, and the moves of whole tenants that had not been
// retracted yet. Errors are those of the store, and of what this version does not
// understand.
func ownerAt(ctx context.Context, store ownership.Store, moves ownership.LedgerReader, resource registry.Resource, at time.Time) (*then, error) {
	snapshot, err := store.Read(ctx, []registry.Resource{resource})
	if err != nil {
		return nil, err
	}
	t, _, err := foldAt(ctx, moves, snapshot.Records[0], snapshot.Ledger, at)
	return t, err
}

// foldAt is ownerAt of what was read, and the fold from which it follows.
func foldAt(ctx context.Context, moves ownership.LedgerReader, r ownership.Record, l *ownership.Ledger, at time.Time) (*then, *past, error) {
	p := newPast(at, r.History, l)
	if err := p.settle(ctx, moves); err != nil {
		return nil, nil, err
	}
	t := &then{At: at, Steps: []step{}}
	for _, s := range p.steps {
		one := newStep(s)
		if m, ok := p.met[s.Version.EventName()]; ok && s.Ledger {
			one.Actor, one.Reason = m.Actor, m.Reason
			if m.Retracted() {
				first := m.Retractions[0]
				t.Retracted = append(t.Retracted, takenBack{m.ID, m.Source, first.At, first.By, first.Why})
			}
		}
		t.Owner = s.Owner
		t.Steps = append(t.Steps, one)
	}
	for _, m := range p.leftOut() {
		t.Unsure = append(t.Unsure, fmt.Sprintf("the move %s from %s to %s has a time from before, but came, or was changed, at %s: verifiers did not know it then, and it is left out",
			terminal.Quote(m.ID), terminal.Quote(m.From), terminal.Quote(m.To), m.ChangedAt.Format(time.RFC3339)))
	}
	t.unsureOfHistory(r, at)
	return t, p, nil
}

func (t *then) unsureOfHistory(r ownership.Record, at time.Time) {
	if r.History.Deleted() && at.Before(r.History[0].Time) {
		t.Unsure = append(t.Unsure, fmt.Sprintf("it was deleted at %s, and with it what was known of the time before", r.History[0].Time.Format(time.RFC3339)))
	}
	for _, e := range r.History {
		if e.Type == ownership.Asserted {
			t.Unsure = append(t.Unsure, fmt.Sprintf("a program outside set the owner at %s (plain set), which erased what was before", e.Time.Format(time.RFC3339)))
			break
		}
	}
	for _, e := range r.Displaced {
		if !e.Time.After(at) {
			t.Unsure = append(t.Unsure, fmt.Sprintf("the event %s, which says %s, was acknowledged once and lost its place; it may have counted then",
				terminal.Quote(e.Version.ID), terminal.Quote(newStep(ownership.Step{Entry: e}).says())))
		}
	}
}

func (t *then) print(out io.Writer, resource registry.Resource) error {
	if t.During != nil {
		return t.printDay(out, resource)
	}
	owner := "it was not registered"
	if t.Owner != "" {
		owner = "owned by " + terminal.Quote(t.Owner)
	}
	fmt.Fprintf(out, "at %s, %s: %s\n", t.At.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano), resource, owner)
	if len(t.Steps) > 0 {
		fmt.Fprintln(out)
		if err := printSteps(out, t.Steps, nil); err != nil {
			return err
		}
	}
	return t.printNotes(out)
}

// printNotes prints what goes with the owner: moves retracted since, and what is not
// certain.
func (t *then) printNotes(out io.Writer) error {
	for _, m := range t.Retracted {
		fmt.Fprintf(out, "the move %s counted then, and was retracted %s by %s: %s\n", terminal.Quote(m.ID), m.At.Format(time.RFC3339), terminal.Quote(orDash(m.By)), terminal.Quote(orDash(m.Why)))
	}
	for _, text := range t.Unsure {
		fmt.Fprintf(out, "not certain: %s\n", terminal.Line(text))
	}
	_, err := fmt.Fprint(out, "This goes by the times of events: one that came late counts from its own time on. Direct\nreaders of the document were told the owner before, until its rewriting had ended.\n\n")
	return err
}
