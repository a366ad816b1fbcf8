package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

var checkCommand = command{
	Name:    "check",
	Args:    "TENANT thread|canvas ID",
	Summary: "say what a verifier answers a tenant, and why",
	Details: "Asks a verifier of its own, like that of serve, whether the tenant owns the resource,\n" +
		"and prints the answer with its cause: the event that made the owner, or that the\n" +
		"resource is not registered. Exit code 0 if the tenant owns it, else 1. A transport\n" +
		"gets the same 404 in both cases; this command says which it is.",
	Examples: []string{
		"registry-worker check --project my-project t_acme thread th_42",
		"registry-worker check --project my-project t_acme canvas c_7 --json",
	},
	Groups: []config.Group{config.JSONGroup, config.ProjectGroup, config.RegistryGroup, config.LogGroup},
	Rules:  inspectCommand.Rules,
	Run:    runCheck,
}

// checked is an answer in the form of `check --json`.
type checked struct {
	Allowed  bool          `json:"allowed"`
	Tenant   string        `json:"tenant"`
	Kind     registry.Kind `json:"kind"`
	ID       string        `json:"id"`
	HTTP     int           `json:"http_status"` // what serve answers
	Cause    string        `json:"cause"`
	Owner    string        `json:"owner,omitempty"` // absent if it is not registered
	Step     *step         `json:"step,omitempty"`  // the one that made the owner
	ReadTime time.Time     `json:"read_time"`
	Next     string        `json:"next,omitempty"`
}

// errDenied ends a command that has printed the refusal already.
var errDenied = errors.New("access is denied")

func runCheck(ctx context.Context, in *invocation) error {
	if len(in.Args) < 2 {
		return usagef("want a tenant, a kind (thread or canvas) and an id, such as t_acme thread th_42, or t_acme thread/th_42")
	}
	resource, err := resourceOf(in.Args[1:])
	if err != nil {
		return err
	}
	if err := registry.ValidateTenant(in.Args[0]); err != nil {
		return usageError{err}
	}
	return in.withStore(ctx, func(store registryStore) error {
		answer, err := in.check(ctx, store, in.Args[0], resource)
		if err != nil {
			return err
		}
		if in.Config.JSON {
			err = terminal.JSON(in.Stdout).Encode(answer)
		} else {
			err = in.printChecked(answer)
		}
		if err == nil && !answer.Allowed {
			return errDenied
		}
		return err
	})
}

func (in *invocation) check(ctx context.Context, store registryStore, tenant string, resource registry.Resource) (checked, error) {
	asked, err := verifier.New(store, verifier.Options{Logger: in.logAt(slog.LevelError)})
	if err != nil {
		return checked{}, err
	}
	defer asked.Close()
	denied := asked.Verify(ctx, tenant, resource)
	if denied != nil && !errors.Is(denied, registry.ErrNotFound) {
		return checked{}, denied
	}
	found, err := inspectNow(ctx, store, resource)
	if err != nil {
		return checked{}, err
	}
	answer := checked{
		Allowed: denied == nil, Tenant: tenant, Kind: resource.Kind, ID: resource.ID, HTTP: 204,
		Owner: found.Owner, Step: found.decisive(), ReadTime: found.ReadTime,
	}
	if denied != nil {
		answer.HTTP = 404
	}
	answer.Cause = answer.cause()
	if !answer.Allowed {
		answer.Next = fmt.Sprintf("%s inspect %s %s", programName, resource.Kind, shellQuote(resource.ID))
	}
	switch {
	case found.Deleted != nil:
		answer.Next = ""
	case answer.Owner == "":
		answer.Next = unregistered
	}
	return answer, nil
}

// decisive returns the last step that changed the owner, or nil.
func (i inspection) decisive() *step {
	for at := len(i.Steps) - 1; at >= 0; at-- {
		if i.Steps[at].Effect {
			return &i.Steps[at]
		}
	}
	return nil
}

func (c checked) cause() string {
	switch {
	case c.Step != nil && c.Step.Event == string(ownership.Deleted):
		return "it was deleted at " + c.Step.Time.Format(time.RFC3339Nano)
	case c.Owner == "":
		return "it is not registered"
	case c.Allowed != (c.Owner == c.Tenant):
		return "it changed hands while this looked: look again"
	case c.Step == nil:
		return "it is owned by " + c.Owner
	}
	text := fmt.Sprintf("it is owned by %s since %s: %s", c.Owner, c.Step.Time.Format(time.RFC3339Nano), c.Step.Event)
	if c.Step.From != "" {
		text += fmt.Sprintf(" from %s to %s", c.Step.From, c.Step.To)
	}
	return text
}

func (in *invocation) printChecked(c checked) error {
	verdict := "yes"
	if !c.Allowed {
		verdict = "no"
	}
	fmt.Fprintf(in.Stdout, "%s: %s\n", verdict, terminal.Line(c.Cause))
	if s := c.Step; s != nil && s.Event != string(ownership.Deleted) { // of which no event is kept
		fmt.Fprintf(in.Stdout, "  event %s of %s", terminal.Quote(orDash(s.ID)), terminal.Quote(orDash(s.Source)))
		if s.Actor != "" || s.Reason != "" {
			fmt.Fprintf(in.Stdout, ", by %s: %s", terminal.Quote(orDash(s.Actor)), terminal.Quote(orDash(s.Reason)))
		}
		fmt.Fprintln(in.Stdout)
	}
	_, err := fmt.Fprintf(in.Stdout, "as of %s in %s\n", c.ReadTime.Format(time.RFC3339Nano), in.firestoreTarget())
	if c.Next != "" {
		fmt.Fprintf(in.Stdout, "next: %s\n", c.Next)
	}
	return err
}
