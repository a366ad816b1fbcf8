package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

var movesCommand = command{
	Name:    "moves",
	Summary: "moves of tenants: plan, start, verify, list, take back, resume",
	Details: "A move of everything that a tenant owns is one write, no matter who publishes its event;\n" +
		"moves start makes it, or one of some resources, and keeps who did it and why. plan\n" +
		"says before what it would do, verify says after what it did, retract takes it back.",
	Examples: []string{
		"registry-worker moves list --project my-project",
		"registry-worker moves plan --project my-project --from t_old --to t_new",
		"registry-worker moves start --project my-project --from t_old --to t_new --id merger-2026 --reason 'merger'",
		"registry-worker moves verify --project my-project merger-2026 --wait",
		"registry-worker moves retract --project my-project merger-2026 --reason 'wrong tenant'",
	},
	Sub: []command{movesPlanCommand, movesStartCommand, movesVerifyCommand, movesListCommand, movesRetractCommand, movesResumeCommand},
}

// movesRules is what must hold for all of them.
var movesRules = []config.Rule{
	config.NeedProject,
	config.NeedSharedRegistry("this process's memory is empty: want firestore"),
}

// withStore opens the registry for one command.
func (in *invocation) withStore(ctx context.Context, f func(registryStore) error) error {
	store, err := in.openStore(ctx, nil)
	if err != nil {
		return err
	}
	defer store.Close()
	return f(store)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

var movesRetractCommand = command{
	Name:    "moves retract",
	Args:    "ID",
	Summary: "take a move of a whole tenant back, exactly",
	Details: "The move with this event id no longer counts, from the moment that it is retracted,\n" +
		"and what was before is back: the new owner keeps what was its own. It stays\n" +
		"retracted, also if its event is delivered again, and nothing else counts under its\n" +
		"id: publish what is to count under an id of its own. Documents follow by rewriting.\n\n" +
		"Of a move that is retracted already, what --by and --reason say is kept beside what\n" +
		"was said before, and nothing else changes.\n\n" +
		"It asks first, with what would change, or --yes. Plain sets of programs outside\n" +
		"are not undone. A move that names resources is taken back by moves start --moved-by.",
	Examples: []string{
		"registry-worker moves retract --project my-project move-2025-01",
		"registry-worker moves retract --project my-project move-2025-01 --source //nexus --reason 'wrong tenant' --yes",
	},
	Groups: []config.Group{config.MoveGroup, config.RetractGroup, config.ByGroup, config.ConfirmGroup, config.RateGroup, config.ProjectGroup, config.RegistryGroup, config.LogGroup},
	Rules:  movesRules,
	Run:    runMovesRetract,
}

func runMovesRetract(ctx context.Context, in *invocation) error {
	if len(in.Args) != 1 {
		return usagef("want the event id of one move")
	}
	if err := in.canAsk(); err != nil {
		return err
	}
	target := in.firestoreTarget()
	in.tellTarget(target)
	return in.withStore(ctx, func(store registryStore) error {
		move, err := in.findMove(ctx, store, in.Args[0])
		if err != nil {
			return err
		}
		if move.Unread != nil {
			return move.Unread
		}
		if move.Retracted() {
			fmt.Fprintf(in.Stderr, "%s is %s already\n", terminal.Quote(move.ID), moveState(move))
			if in.Config.By == "" && in.Config.Reason == "" {
				return nil // nothing is said of it
			}
		} else if err := in.confirmRetraction(ctx, store, move, target); err != nil {
			return err
		}
		return in.retract(ctx, store, move)
	})
}

// confirmRetraction says what would cease to count, and asks.
func (in *invocation) confirmRetraction(ctx context.Context, store registryStore, move ownership.LedgerEntry, target target) error {
	fmt.Fprintf(in.Stderr, "The move of everything from %s to %s (event %s of %s, %s) would cease to count.\n",
		terminal.Quote(move.From), terminal.Quote(move.To), terminal.Quote(move.ID), terminal.Quote(move.Source), move.Time.Format(time.RFC3339Nano))
	if in.Config.Yes {
		return nil
	}
	plan, err := in.planner(store).Retraction(ctx, move)
	if err != nil {
		return err
	}
	printPlan(in.Stderr, rewrite.NamedPlan{Plan: plan}, true)
	return in.confirm(ctx, target, "retract this move?")
}

// retract retracts the move, and says what became of it. What is said of a move
// that is retracted already is kept beside what was said before.
func (in *invocation) retract(ctx context.Context, store registryStore, move ownership.LedgerEntry) error {
	o := store.Apply(ctx, []ownership.Change{ownership.Retraction(ownership.Version{Source: move.Source, ID: move.ID}, in.who(), in.Config.Reason)})[0]
	switch {
	case o.Err != nil:
		return o.Err
	case o.Kind == ownership.HistoryFull:
		return fmt.Errorf("retract %s: %s", terminal.Quote(move.ID), o.Detail)
	case o.Kind == ownership.Duplicate && move.Retracted():
		fmt.Fprintln(in.Stderr, "what you say of it is kept beside what was said before")
	case o.Kind == ownership.Duplicate && o.Detail != "":
		fmt.Fprintf(in.Stderr, "%s, while this was asked; yours is noted beside it\n", terminal.Quote(o.Detail))
	default:
		fmt.Fprintf(in.Stderr, "retracted; documents follow while a worker runs: %s moves verify %s --wait\n", programName, shellQuote(move.ID))
	}
	return nil
}

// findMove returns the move with this id. An id that two sources share is
// refused without --source.
func (in *invocation) findMove(ctx context.Context, store ownership.Store, id string) (ownership.LedgerEntry, error) {
	all, err := store.Moves(ctx)
	if err != nil {
		return ownership.LedgerEntry{}, err
	}
	var sources []string
	all = slices.DeleteFunc(slices.Clone(all), func(m ownership.LedgerEntry) bool {
		return m.ID != id || in.Config.Source != "" && m.Source != in.Config.Source
	})
	for _, m := range all {
		sources = append(sources, terminal.Quote(m.Source))
	}
	switch {
	case len(all) > 1:
		return ownership.LedgerEntry{}, usagef("event id %q is that of moves of several sources: name one with --source: %s", id, strings.Join(sources, ", "))
	case len(all) == 0 && in.Config.Source != "":
		return ownership.LedgerEntry{}, fmt.Errorf("%w %q and source %q: see moves list", errNoSuchMove, id, in.Config.Source)
	case len(all) == 0:
		return ownership.LedgerEntry{}, fmt.Errorf("%w %q: see moves list; one that names resources is taken back by moves start --moved-by", errNoSuchMove, id)
	}
	return all[0], nil
}

var errNoSuchMove = errors.New("no move of a whole tenant has the event id")

// who is who gives the command, for records.
func (in *invocation) who() string {
	if in.Config.By != "" {
		return in.Config.By
	}
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}
