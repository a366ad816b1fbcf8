package dev

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/northstar-engines/realtime-registry/internal/consumer"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

// Page writes the result of the example. Bold makes headings stand out on a
// terminal.
type Page struct {
	Out  io.Writer
	Bold bool
}

// Owners lists who owns the records' resources, and why.
func (p Page) Owners(s ownership.Snapshot) error {
	p.heading("Who owns what, and why")
	t := tabwriter.NewWriter(p.Out, 0, 0, 2, ' ', 0)
	for _, r := range s.Records {
		owner, err := r.Owner(s.Ledger)
		if err != nil {
			return err
		}
		if owner == "" {
			owner = "no owner"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", r.Resource, terminal.Quote(owner), terminal.Quote(why(r.History.Explain(s.Ledger))))
	}
	return t.Flush()
}

// why returns in a few words what the fold did.
func why(steps []ownership.Step) string {
	if len(steps) == 0 {
		return "never registered"
	}
	var said []string
	for _, s := range steps {
		said = append(said, phrase(s))
	}
	return strings.Join(said, "; ")
}

func phrase(s ownership.Step) string {
	switch {
	case s.Type == ownership.Claimed:
		return "claimed by " + s.Tenant
	case s.Type == ownership.Created:
		return "created by " + s.Tenant
	case s.Type == ownership.Asserted:
		return "set to " + s.Tenant + " from outside"
	case s.Type == ownership.Deleted:
		return "deleted"
	case s.Ledger:
		return "everything of " + s.From + " moved to " + s.To
	case !s.Effective:
		return "a move from " + s.From + " to " + s.To + " had no effect"
	}
	return "moved to " + s.To
}

// Refused lists dead letters: the event, as far as it can be read, and why it was
// refused.
func (p Page) Refused(letters []consumer.DeadLetter, where string) {
	p.heading("Refused: " + where)
	if len(letters) == 0 {
		fmt.Fprintln(p.Out, "  nothing")
	}
	for _, l := range letters {
		fmt.Fprintf(p.Out, "  %-10s  %s\n  %10s  %s\n",
			terminal.Quote(l.Attributes[consumer.ReasonAttribute]), terminal.Quote(eventID(l)), "", terminal.Quote(l.Attributes[consumer.DetailAttribute]))
	}
}

func eventID(l consumer.DeadLetter) string {
	if id := l.Attributes["ce-id"]; id != "" {
		return "event " + id
	}
	var envelope struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(l.Data, &envelope) == nil && envelope.ID != "" {
		return "event " + envelope.ID
	}
	return "message " + l.Attributes[consumer.MessageIDAttribute]
}

// Requests lists requests to try, each with its answer on the line after it.
func (p Page) Requests(requests []Request, at API) {
	p.heading("Try")
	for _, r := range requests {
		fmt.Fprintf(p.Out, "  %s\n      answers %d: %s\n", r.curl(at), r.Status, r.Because)
	}
}

// Notes writes lines under a heading.
func (p Page) Notes(heading string, lines ...string) {
	p.heading(heading)
	for _, l := range lines {
		fmt.Fprintln(p.Out, strings.TrimRight("  "+l, " "))
	}
}

func (p Page) heading(text string) {
	if p.Bold {
		text = "\x1b[1m" + text + "\x1b[0m"
	}
	fmt.Fprintf(p.Out, "\n%s\n", text)
}
