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
		"moves list says so, and why it failed. Once the reason is gone, this has the workers\n" +
		"take it up from where it was, with as many tries as at first. It asks nothing: it\n" +
		"changes nothing that was not to be changed anyway.",
	Examples: []string{
		"registry-worker moves resume --project my-project move-2025-01",
	},
	Groups: []config.Group{config.MoveGroup, config.ProjectGroup, config.RegistryGroup, config.LogGroup},
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
		if errors.Is(err, ownership.ErrNotParked) {
			fmt.Fprintf(in.Stderr, "the rewriting for %s is not parked: %s\n", terminal.Quote(move.ID), jobState(move.Rewriting))
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(in.Stderr, "queued; workers take it up, see moves list")
		return nil
	})
}

func jobState(r ownership.Rewriting) string {
	if r.State == "" {
		return "there is nothing to do"
	}
	return "it is " + string(r.State)
}
