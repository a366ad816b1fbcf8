package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
	"github.com/northstar-engines/realtime-registry/registry"
)

var inspectCommand = command{
	Name:    "inspect",
	Args:    "thread|canvas ID",
	Summary: "say who owns a thread or canvas, and why",
	Details: "Prints the owner, and the events that led to it, step by step in the order in which\n" +
		"they count: which had no effect, which came from a move of a whole tenant, which were\n" +
		"plain sets by other programs. Also shows what readers of the raw document see. An\n" +
		"unregistered resource is reported, and is not an error.\n\n" +
		"A claim and the event of the same creation are one step: the claim stands for both,\n" +
		"and names the event if the claim came with its name. What is displaced was\n" +
		"acknowledged once, and does not count: another event of its name, or an older\n" +
		"creation, has taken its place. Moves of whole tenants that do not count for the\n" +
		"resource are not listed, nor those that were retracted: see moves list.\n\n" +
		"With --at it first says who owned it then: by the events of that time, and the moves\n" +
		"of whole tenants that had not been retracted by then, with who retracted them since.\n" +
		"A date is that whole day in UTC: it lists who owned it in the course of the day.",
	Examples: []string{
		"registry-worker inspect --project my-project thread th_42",
		"registry-worker inspect --project my-project canvas c_7 --json",
		"registry-worker inspect --project my-project --at 2026-01-06T15:04:05Z thread th_42",
		"registry-worker inspect --project my-project --at 2026-01-06 thread/th_42",
	},
	Groups: []config.Group{config.AtGroup, config.JSONGroup, config.ProjectGroup, config.RegistryGroup, config.LogGroup},
	Rules: []config.Rule{
		config.NeedProject,
		config.NeedSharedRegistry("this process's memory is empty: want firestore"),
	},
	Run: runInspect,
}

func runInspect(ctx context.Context, in *invocation) error {
	resource, err := resourceOf(in.Args)
	if err != nil {
		return err
	}
	store, err := in.openStore(ctx, nil)
	if err != nil {
		return err
	}
	defer store.Close()
	found, err := inspectNow(ctx, store, resource)
	if err != nil {
		return err
	}
	if !in.Config.At.IsZero() {
		if found.Then, err = in.ownerThen(ctx, store, resource); err != nil {
			return err
		}
	}
	if in.Config.JSON {
		lines := terminal.JSON(in.Stdout)
		lines.SetIndent("", "  ")
		return lines.Encode(found)
	}
	if found.Then != nil {
		if err := found.Then.print(in.Stdout, resource); err != nil {
			return err
		}
	}
	if found.Deleted != nil {
		return found.printDeleted(in.Stdout)
	}
	if found.Owner == "" {
		_, err := fmt.Fprintf(in.Stdout, "%s: not registered in %s\nnext: %s\n", resource, in.firestoreTarget(), found.Next)
		return err
	}
	return found.print(in.Stdout)
}

// ownerThen returns who owned a resource at the time, or on the day, of --at.
func (in *invocation) ownerThen(ctx context.Context, store registryStore, resource registry.Resource) (*then, error) {
	if in.Config.AtEnd.IsZero() {
		return ownerAt(ctx, store, store, resource, in.Config.At)
	}
	return ownersDuring(ctx, store, store, resource, in.Config.At, in.Config.AtEnd)
}

// unregistered is what to do about a resource that is not registered.
const unregistered = programName + " dead-letters list says whether its creation was refused; otherwise its creator has not published or claimed it"

// inspectNow reads what is known of a resource. Errors are those of the store, and
// of documents that this version does not understand.
func inspectNow(ctx context.Context, store registryStore, resource registry.Resource) (inspection, error) {
	snapshot, err := store.Read(ctx, []registry.Resource{resource})
	if err != nil {
		return inspection{}, err
	}
	if err := snapshot.Records[0].Unfoldable(snapshot.Ledger); err != nil {
		return inspection{}, err
	}
	found := inspect(snapshot.Records[0], snapshot.Ledger, snapshot.ReadTime)
	return found, found.sayWhy(ctx, store)
}

// inspection is what is known of a resource, at one time.
type inspection struct {
	Kind  registry.Kind `json:"kind"`
	ID    string        `json:"id"`
	Owner string        `json:"owner"` // "" if it is not registered
	// Deleted is when the resource was deleted; absent if it was not. Nothing else is
	// known of it then.
	Deleted *time.Time `json:"deleted_at,omitempty"`
	Steps   []step     `json:"steps"`
	// Displaced events were acknowledged, but lost their place to an event of the
	// same name, or, if creations, to an older one. They do not count.
	Displaced []step `json:"displaced,omitempty"`
	// Document is what direct readers see: absent if there is none.
	Document *document `json:"document,omitempty"`
	Then     *then     `json:"then,omitempty"` // with --at
	Next     string    `json:"next,omitempty"` // what to do
	Ledger   int64     `json:"position"`
	ReadTime time.Time `json:"read_time"`
}

type step struct {
	Event  string    `json:"event"` // claimed, created, moved, tenant moved, plain set, deleted
	Time   time.Time `json:"time"`
	Source string    `json:"source,omitempty"`
	ID     string    `json:"event_id,omitempty"`
	Tenant string    `json:"tenant,omitempty"`
	From   string    `json:"from,omitempty"`
	To     string    `json:"to,omitempty"`
	Actor  string    `json:"actor,omitempty"`
	Reason string    `json:"reason,omitempty"`
	// ForEvent is the event of the same creation, as the claim named it.
	ForEvent *forEvent `json:"for_event,omitempty"`
	Effect   bool      `json:"effect"`
	Owner    string    `json:"owner"` // after it; "" if displaced
}

type forEvent struct {
	Source string `json:"source"`
	ID     string `json:"event_id"`
}

// says returns what a step says of tenants.
func (s step) says() string {
	if s.Tenant != "" || s.From == "" {
		return s.Tenant
	}
	return s.From + " → " + s.To
}

func displacedSteps(displaced []ownership.Entry) (all []step) {
	for _, e := range displaced {
		all = append(all, newStep(ownership.Step{Entry: e}))
	}
	return all
}

func newStep(s ownership.Step) step {
	var event *forEvent
	if s.Entry.Event != (ownership.EventName{}) {
		event = &forEvent{s.Entry.Event.Source, s.Entry.Event.ID}
	}
	return step{
		ForEvent: event,
		Event:    eventName(s), Time: s.Time, Source: s.Source, ID: s.Version.ID, Tenant: s.Tenant, From: s.From, To: s.To,
		Actor: s.Actor, Reason: s.Reason, Effect: s.Effective, Owner: s.Owner,
	}
}

type document struct {
	TenantID   string    `json:"tenant_id"`
	UpdateTime time.Time `json:"update_time"`
	// Stale: tenant_id is not the owner; a rewriting job will correct it.
	Stale bool `json:"stale"`
	// Plain: another program wrote it last.
	Plain bool `json:"plain_set_last"`
}

func inspect(r ownership.Record, l *ownership.Ledger, at time.Time) inspection {
	found := inspection{
		Kind: r.Resource.Kind, ID: r.Resource.ID, Owner: r.History.Owner(l),
		Steps: []step{}, Ledger: l.Position(), ReadTime: at,
	}
	for _, s := range r.History.Explain(l) {
		found.Steps = append(found.Steps, newStep(s))
	}
	switch {
	case r.History.Deleted():
		found.Deleted = &r.History[0].Time
	case found.Owner == "":
		found.Next = unregistered
	}
	found.Displaced = displacedSteps(r.Displaced)
	if r.Exists() {
		found.Document = &document{r.TenantID, r.UpdateTime, r.TenantID != found.Owner, r.Plain}
		if found.Document.Stale && found.Deleted == nil {
			found.Next = programName + " moves list --state pending"
		}
	}
	return found
}

// sayWhy adds to the moves of whole tenants who made them, and why.
func (i *inspection) sayWhy(ctx context.Context, store ownership.LedgerReader) error {
	moves := map[ownership.EventName]*step{}
	for at := range i.Steps {
		if s := &i.Steps[at]; s.Event == wholeTenant {
			moves[ownership.EventName{Source: s.Source, ID: s.ID}] = s
		}
	}
	if len(moves) == 0 {
		return nil
	}
	entries, err := store.MovesNamed(ctx, slices.Collect(maps.Keys(moves)))
	for _, e := range entries {
		if s := moves[e.EventName()]; s != nil {
			s.Actor, s.Reason = e.Actor, e.Reason
		}
	}
	return err
}

const wholeTenant = "tenant moved"

func eventName(s ownership.Step) string {
	switch {
	case s.Ledger:
		return wholeTenant
	case s.Type == ownership.Asserted:
		return "plain set"
	}
	return string(s.Type)
}

func (i inspection) print(out io.Writer) error {
	name := registry.Resource{Kind: i.Kind, ID: i.ID}
	fmt.Fprintf(out, "%s: owned by %s\n\n", name, terminal.Quote(i.Owner))
	if err := printSteps(out, i.Steps, i.Displaced); err != nil {
		return err
	}
	return i.printDocument(out)
}

func (i inspection) printDeleted(out io.Writer) error {
	name := registry.Resource{Kind: i.Kind, ID: i.ID}
	fmt.Fprintf(out, "%s: deleted at %s; nothing brings it back as long as its tombstone is kept\n", name, i.Deleted.Format(time.RFC3339Nano))
	if d := i.Document; d.Stale {
		fmt.Fprintf(out, "\nanother program has given the document the tenant %s, written %s, which only direct readers see\n",
			terminal.Quote(d.TenantID), d.UpdateTime.Format(time.RFC3339Nano))
	}
	_, err := fmt.Fprintf(out, "as of %s, ledger position %d\n", i.ReadTime.Format(time.RFC3339Nano), i.Ledger)
	return err
}

func printSteps(out io.Writer, steps, displaced []step) error {
	t := terminal.NewTable(out, "TIME", "EVENT", "SAYS", "OWNER AFTER", "SOURCE", "ID", "ACTOR", "REASON")
	for _, s := range steps {
		owner := s.Owner
		if !s.Effect {
			owner += " (no effect)"
		}
		t.Row(s.Time.Format(time.RFC3339Nano), s.Event, s.says(), owner, s.Source, s.ID, s.Actor, s.Reason)
	}
	for _, s := range displaced {
		t.Row(s.Time.Format(time.RFC3339Nano), s.Event, s.says(), "(displaced, does not count)", s.Source, s.ID, s.Actor, s.Reason)
	}
	return t.Flush()
}

func (i inspection) printDocument(out io.Writer) error {
	for _, s := range i.Steps {
		if e := s.ForEvent; e != nil {
			fmt.Fprintf(out, "\nclaimed for event %s of %s\n", terminal.Quote(e.ID), terminal.Quote(e.Source))
		}
	}
	if d := i.Document; d != nil {
		fmt.Fprintf(out, "\ndocument: tenant_id %s, written %s", terminal.Quote(d.TenantID), d.UpdateTime.Format(time.RFC3339Nano))
		if d.Plain {
			fmt.Fprint(out, ", by another program")
		}
		if d.Stale {
			fmt.Fprint(out, "; it is not the owner yet: rewriting brings it there, see ", i.Next)
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintf(out, "as of %s, ledger position %d\n", i.ReadTime.Format(time.RFC3339Nano), i.Ledger)
	return nil
}
