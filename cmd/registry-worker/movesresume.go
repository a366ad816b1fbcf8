package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

var movesResumeCommand = command{
	Name:    "moves resume",
	Args:    "ID",
	Summary: "have the rewriting for a move tried again that was given up",
	Details: "A rewriting that fails over and over is parked, so that it does not work in vain:\n" +
		"moves list --state parked shows it, and why it failed. Once the cause is gone, this\n" +
		"command has the workers resume it where it was, with as many tries as at first. It\n" +
		"does not ask: it changes nothing that was not to be changed anyway.",
	Examples: []string{
		"registry-worker moves resume --project my-project move-2025-01",
		"registry-worker moves resume --project my-project move-2025-01 --json",
	},
	Groups: []config.Group{config.MoveGroup, config.JSONGroup, config.ProjectGroup, config.RegistryGroup, config.LogGroup},
	Rules:  movesRules,
	Run:    runMovesResume,
}

func runMovesResume(ctx context.Context, in *invocation) error {
	if len(in.Args) != 1 {
		return usagef("want the event id of one move")
	}
	in.tellTarget(in.firestoreTarget())
	return in.withStore(ctx, func(store registryStore) error {
		move, err := in.findMove(ctx, store, in.Args[0])
		if err != nil {
			return err
		}
		if move.Unread != nil {
			return move.Unread
		}
		err = store.ResumeJob(ctx, move.EventName())
		switch {
		case errors.Is(err, ownership.ErrNotParked):
			return in.tellResumed(resumed{State: "not_parked", Rewriting: move.Rewriting.State}, move,
				fmt.Sprintf("the rewriting for %s is not parked: %s", terminal.Quote(move.ID), jobState(move.Rewriting)))
		case err != nil:
			return err
		}
		return in.tellResumed(resumed{State: "resumed", Rewriting: ownership.RewritingQueued}, move,
			"queued; workers take it up: "+in.verifyAndWait(move))
	})
}

// resumed is a move in the form of `moves resume --json`.
type resumed struct {
	ID        string                   `json:"id"`
	Source    string                   `json:"source"`
	State     string                   `json:"state"`     // resumed, or not_parked: nothing was changed
	Rewriting ownership.RewritingState `json:"rewriting"` // queued, running or done
	Next      []string                 `json:"next"`      // commands that show whether the documents have followed
}

// tellResumed prints what became of the job, in JSON or in words.
func (in *invocation) tellResumed(r resumed, move ownership.LedgerEntry, words string) error {
	if in.Config.JSON {
		r.ID, r.Source, r.Next = move.ID, move.Source, []string{in.verifyAndWait(move)}
		return terminal.JSON(in.Stdout).Encode(r)
	}
	fmt.Fprintln(in.Stderr, words)
	return nil
}

func jobState(r ownership.Rewriting) string {
	if r.State == "" {
		return "there is nothing to do"
	}
	return "it is " + string(r.State)
}
