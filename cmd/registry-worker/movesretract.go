package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

var movesRetractCommand = command{
	Name:    "moves retract",
	Args:    "ID",
	Summary: "take a move of a whole tenant back, exactly",
	Details: "The move with this event id no longer counts from the moment at which it is retracted,\n" +
		"and what was before is back: the new owner keeps what was its own. It stays retracted,\n" +
		"even if its event is delivered again, and no other move counts under its id: publish\n" +
		"the next one under an id of its own. Documents follow by rewriting.\n\n" +
		"If the move is retracted already, --by and --reason are kept beside what was said\n" +
		"before, and nothing else changes. The same call twice says it once: give it again if\n" +
		"it was not answered.\n\n" +
		"It asks first, with what would change, or --yes. Plain sets of other programs are not\n" +
		"undone. A move that names resources is taken back by moves start --moved-by.",
	Examples: []string{
		"registry-worker moves retract --project my-project move-2025-01",
		"registry-worker moves retract --project my-project move-2025-01 --source //nexus --reason 'wrong tenant' --yes --json",
	},
	Groups: []config.Group{config.MoveGroup, config.RetractGroup, config.ByGroup, config.ConfirmGroup, config.JSONGroup, config.RateGroup, config.ProjectGroup, config.RegistryGroup, config.ClaimsGroup, config.LogGroup},
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
			if in.Config.By == "" && in.Config.Reason == "" { // nothing new to record
				return in.tellRetracted(retracted{State: "retracted_before"}, move, "")
			}
		} else if err := in.confirmRetraction(ctx, store, move, target); err != nil {
			return err
		}
		return in.logging(ctx, store, func() error { return in.retract(ctx, store, move) })
	})
}

// confirmRetraction says what would no longer count, and asks.
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

// retract retracts the move, and reports the result. If the move is retracted
// already, what is said now is kept beside what was said before.
func (in *invocation) retract(ctx context.Context, store registryStore, move ownership.LedgerEntry) error {
	o := store.Apply(ctx, []ownership.Change{ownership.Retraction(ownership.Version{Source: move.Source, ID: move.ID}, in.who(), in.Config.Reason)})[0]
	switch {
	case o.Err != nil:
		return o.Err
	case o.Kind == ownership.HistoryFull:
		return fmt.Errorf("retract %s: %s", terminal.Quote(move.ID), o.Detail)
	case o.Kind == ownership.Duplicate && in.saidBefore(move):
		return in.tellRetracted(retracted{State: "retracted_before", Kept: true}, move, "you have said so before, and that is kept: nothing was changed")
	case o.Kind == ownership.Duplicate && move.Retracted():
		return in.tellRetracted(retracted{State: "retracted_before", Kept: true}, move, "what you say of it is kept beside what was said before")
	case o.Kind == ownership.Duplicate && o.Detail != "":
		return in.tellRetracted(retracted{State: "retracted_before", Kept: true}, move, terminal.Quote(o.Detail)+", while this was asked; yours is noted beside it")
	}
	return in.tellRetracted(retracted{State: "retracted", Kept: true}, move, "retracted; documents follow while a worker runs: "+in.verifyAndWait(move))
}

// saidBefore reports whether the same was said of the move before: by a call that was
// not answered, perhaps.
func (in *invocation) saidBefore(move ownership.LedgerEntry) bool {
	return slices.ContainsFunc(move.Retractions, func(said ownership.Said) bool {
		return said.By == in.who() && said.Why == in.Config.Reason
	})
}

// retracted is a move in the form of `moves retract --json`.
type retracted struct {
	ID     string   `json:"id"`
	Source string   `json:"source"`
	From   string   `json:"from"`
	To     string   `json:"to"`
	State  string   `json:"state"` // retracted, or retracted_before: it no longer counted
	Kept   bool     `json:"kept"`  // whether what was said now was recorded
	Next   []string `json:"next"`  // commands that show whether the documents have followed
}

// tellRetracted prints the result of a retraction, in JSON or in words.
func (in *invocation) tellRetracted(r retracted, move ownership.LedgerEntry, words string) error {
	if in.Config.JSON {
		r.ID, r.Source, r.From, r.To, r.Next = move.ID, move.Source, move.From, move.To, []string{in.verifyAndWait(move)}
		return terminal.JSON(in.Stdout).Encode(r)
	}
	if words != "" {
		fmt.Fprintln(in.Stderr, words)
	}
	return nil
}

// verifyAndWait returns the command that shows the result of a move once its
// rewriting has ended.
func (in *invocation) verifyAndWait(move ownership.LedgerEntry) string {
	return in.commandOn("moves verify", move) + " --wait"
}

// commandOn returns a command on a move, with its source if that was needed to name
// it.
func (in *invocation) commandOn(name string, move ownership.LedgerEntry) string {
	text := programName + " " + name + " " + shellQuote(move.ID)
	if in.Config.Source != "" {
		text += " --source " + shellQuote(move.Source)
	}
	return text
}
