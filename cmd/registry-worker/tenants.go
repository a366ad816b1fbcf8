package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/actions"
	"github.com/northstar-engines/realtime-registry/internal/erasure"
	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/presence"
	"github.com/northstar-engines/realtime-registry/internal/quotastore"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/fsregistry"
)

var tenantsCommand = command{
	Name:    "tenants",
	Summary: "erase a tenant that has left",
	Details: "docs/erasure.md says what is erased, and what remains elsewhere.",
	Examples: []string{
		"registry-worker tenants erase --project my-project --dry-run t_left",
		"registry-worker tenants erase --project my-project --reason 'ticket 4711' t_left",
	},
	Sub: []command{tenantsEraseCommand},
}

var tenantsEraseCommand = command{
	Name:    "tenants erase",
	Args:    "TENANT",
	Summary: "delete what a tenant owns, and take its name out of everything else",
	Details: "What the tenant owns is deleted, for good, as by events that say so. What it had and\n" +
		"others own now, the moves of whole tenants that name it, and the records of operators\n" +
		"get another name in place of its own, which says nothing and has the same effect. Its\n" +
		"throttle windows are deleted. In the end it searches everything that the database\n" +
		"holds for the name, and prints what it has found.\n\n" +
		"It prints what it would do and asks first, or --yes. Stop what publishes for the\n" +
		"tenant before: what comes later is taken, under the new name, but the tenant cannot\n" +
		"use it. It can be stopped, killed and run again, and goes on with what is left. Exit\n" +
		"code 1 if the name is still somewhere.\n\n" +
		"A tenant of which the registry knows nothing is refused: it was misspelt, probably, and\n" +
		"an erased name can never be used again. --unknown erases it all the same: what is still\n" +
		"to come of it is taken under the new name, and the search finds what names it without\n" +
		"effect.\n\n" +
		"There is no way back except a backup. docs/erasure.md lists what remains elsewhere:\n" +
		"topics, dead letters, backups, archives and logs.",
	Examples: []string{
		"registry-worker tenants erase --project my-project --dry-run t_left",
		"registry-worker tenants erase --project my-project --reason 'ticket 4711' t_left",
		"registry-worker tenants erase --project my-project --yes --json t_left",
	},
	Groups: []config.Group{
		config.DryRunGroup, config.RetractGroup, config.UnknownGroup, config.ByGroup, config.ConfirmGroup, config.JSONGroup, config.RateGroup,
		config.DeletionGroup, config.ProjectGroup, config.RegistryGroup, config.LogGroup,
	},
	Rules: movesRules,
	Run:   runTenantsErase,
}

func runTenantsErase(ctx context.Context, in *invocation) error {
	if len(in.Args) != 1 {
		return usagef("want one tenant, such as t_left")
	}
	tenant := in.Args[0]
	if err := registry.ValidateTenant(tenant); err != nil {
		return usageError{err}
	}
	if !in.Config.DryRun {
		if err := in.canAsk(); err != nil {
			return err
		}
	}
	target := in.firestoreTarget()
	in.tellTarget(target)
	db, err := in.openDocuments(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	return in.withStore(ctx, func(store registryStore) error {
		steps := &erasureSteps{out: in.Stderr}
		eraser := erasure.Eraser{
			Store: store.(*fsregistry.Store), DB: db, Rate: in.Config.Rate, Unknown: in.Config.Unknown,
			Windows:  []string{quotastore.Collection, quotastore.ResetCollection},
			Texts:    []string{actions.Collection},
			Others:   []string{regstore.OutboxCollection, presence.Collection, limits.PolicyCollection},
			Progress: steps.at,
		}
		defer steps.clear()
		plan, err := eraser.Plan(ctx, tenant)
		steps.clear()
		if err != nil {
			return err
		}
		if err := in.mayErase(ctx, store, plan); err != nil || in.Config.DryRun {
			return err
		}
		if err := in.confirm(ctx, target, "erase "+tenant+"?"); err != nil {
			return err
		}
		report, err := eraser.Run(ctx, tenant, in.who(), in.Config.Reason)
		steps.clear()
		if err != nil {
			return fmt.Errorf("%w; it is not finished: run it again", err)
		}
		return in.tellErased(report)
	})
}

// mayErase prints a plan, and returns an error if it is not to be carried out.
func (in *invocation) mayErase(ctx context.Context, store registryStore, plan erasure.Plan) (err error) {
	switch {
	case in.Config.DryRun:
		err = in.printErasurePlan(in.Stdout, plan)
	case !in.Config.Yes:
		err = in.printErasurePlan(in.Stderr, plan)
	}
	switch {
	case err != nil:
		return err
	case ownership.IsPseudonym(plan.Tenant):
		return fmt.Errorf("%w; nothing was changed", erasure.ErrPseudonym)
	case !plan.Known && !in.Config.Unknown:
		return in.unknownTenant(ctx, store, plan.Tenant, "erases it all the same, and bars the name for ever")
	case len(plan.Pending) > 0:
		return fmt.Errorf("%w: %s: wait until it has (moves verify --wait), or have it resumed (moves resume)",
			erasure.ErrPending, terminal.Quote(strings.Join(plan.Pending, " ")))
	}
	return nil
}

// erasurePlan is a plan in the form of --json.
type erasurePlan struct {
	erasure.Plan
	Seconds float64 `json:"search_seconds"` // of the search, at 10,000 documents a second
}

// searchedPerSecond is how many documents one query brings in a second; said as what it
// is, a guess.
const searchedPerSecond = 10_000

func (in *invocation) printErasurePlan(out io.Writer, p erasure.Plan) error {
	took := time.Duration(p.Search) * time.Second / searchedPerSecond
	if in.Config.JSON {
		return terminal.JSON(out).Encode(erasurePlan{p, took.Seconds()})
	}
	if p.Begun {
		fmt.Fprintln(out, "The erasure of this tenant has begun before: it goes on.")
	}
	_, err := fmt.Fprintf(out, "%s that %s owns, or had: those that it owns would be deleted, the others lose its name.\n"+
		"%s of whole tenants would lose it too, and %s of the throttle be deleted.\n"+
		"Then everything is searched: %s, a read each, at %d a second %s.\n",
		counted(int(p.Documents), "document", "documents"), p.Tenant, counted(p.Moves, "move", "moves"), counted(p.Windows, "window", "windows"),
		counted(int(p.Search), "document", "documents"), searchedPerSecond, took.Round(time.Second))
	return err
}

// errNotErased ends an erasure that has printed what is left.
var errNotErased = fmt.Errorf("the name is still there: see docs/erasure.md")

func (in *invocation) tellErased(r erasure.Report) error {
	in.Logger.Info("tenant erased", "pseudonym", r.Pseudonym, "documents", r.Documents, "moves", r.Moves, "left", r.LeftCount)
	if in.Config.JSON {
		if err := terminal.JSON(in.Stdout).Encode(r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(in.Stdout, "erased; in its place stands %s\n"+
			"%s that it owned, or had: %d deleted, %d without its name; %d more that the search has found\n"+
			"%s of whole tenants renamed; %s of the throttle deleted; %s of operators changed\n%s searched\n",
			r.Pseudonym, counted(r.Documents, "document", "documents"), r.Deleted, r.Documents-r.Deleted, r.Found,
			counted(r.Moves, "move", "moves"), counted(r.Windows, "window", "windows"), counted(r.Texts, "record", "records"),
			counted(int(r.Searched), "document", "documents"))
		for _, name := range r.Left {
			fmt.Fprintf(in.Stdout, "still there: %s\n", terminal.Quote(name))
		}
		if slices.ContainsFunc(r.Left, ofOutbox) {
			fmt.Fprintln(in.Stdout, "what is in the outbox is published and removed within two minutes, while a worker or an API runs: run this again then")
		}
		if more := r.LeftCount - len(r.Left); more > 0 {
			fmt.Fprintf(in.Stdout, "and %d more\n", more)
		}
	}
	if r.LeftCount > 0 {
		return errNotErased
	}
	return nil
}

// ofOutbox reports whether a document waits for the registry's log.
func ofOutbox(name string) bool { return strings.HasPrefix(name, regstore.OutboxCollection+"/") }
