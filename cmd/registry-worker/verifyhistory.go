package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/judge"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

var verifyHistoryCommand = command{
	Name:    "verify-history",
	Args:    "FILE…",
	Summary: "judge an archive and an export, or the history of a robustness run",
	Details: "Reads the FILEs as one, line by line (NDJSON, .gz too; - is standard input), and judges\n" +
		"what they say, by models that share no code with what wrote them. It asks nobody.\n\n" +
		"Of a registry of your own give an archive (export --events) and an export: it compares\n" +
		"the export with the owners by all events of the archive. Both must be of one time, or\n" +
		"of a time at which nothing is written.\n\n" +
		"The history of make robustness has both, and all that was asked and answered besides:\n" +
		"then it judges every event, answer and watch (docs/robustness.md).\n\n" +
		"It prints how much it could judge and every violation; the exit code is 1 if there is\n" +
		"one, or if the run has not met a trouble that it should have.",
	Examples: []string{
		"registry-worker export --events > events.ndjson && registry-worker export > owners.ndjson && registry-worker verify-history events.ndjson owners.ndjson",
		"registry-worker verify-history history-1.ndjson",
	},
	Groups: []config.Group{config.JSONGroup, config.LogGroup},
	Run:    runVerifyHistory,
}

func runVerifyHistory(ctx context.Context, in *invocation) error {
	if len(in.Args) == 0 {
		return usagef("no FILE; - is standard input")
	}
	history, err := judge.Read(ctx, in.Args, in.Stdin)
	var missing *os.PathError
	if errors.As(err, &missing) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	verdict, err := judge.Judge(history)
	if err != nil {
		return usageError{err}
	}
	if in.Config.JSON {
		lines := terminal.JSON(in.Stdout)
		lines.SetIndent("", "  ")
		err = lines.Encode(verdict)
	} else {
		err = verdict.Print(in.Stdout)
	}
	if err != nil {
		return err
	}
	if !verdict.Good() {
		return fmt.Errorf("%s, %s", counted(len(verdict.Violations), "violation", "violations"),
			counted(len(verdict.Missing), "kind of trouble was not met", "kinds of trouble were not met"))
	}
	fmt.Fprintln(in.Stderr, "no violation")
	return nil
}
