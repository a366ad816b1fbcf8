package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/actions"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

var deadLettersHistoryCommand = command{
	Name:    "dead-letters history",
	Summary: "print who published dead letters again or discarded them, when and why",
	Details: "Prints what redrive and purge have done, the last first: who did it (--by), why\n" +
		"(--comment), to which letters, and how many there were by the reason of their\n" +
		"refusal. An action without an end is under way, or was killed.",
	Examples: []string{
		"registry-worker dead-letters history --project my-project",
		"registry-worker dead-letters history --project my-project --limit 0 --json",
	},
	Groups: []config.Group{config.HistoryGroup, config.JSONGroup, config.ProjectGroup, config.RegistryGroup, config.LogGroup},
	Rules:  []config.Rule{config.NeedProject, needRecords},
	Run:    runDeadLettersHistory,
}

// needRecords: what operators did is kept in Firestore.
var needRecords = config.NeedSharedRegistry("who did it is kept in Firestore: want firestore")

func runDeadLettersHistory(ctx context.Context, in *invocation) error {
	db, err := in.openDocuments(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	ask, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	all, err := actions.List(ask, db, in.Config.Limit)
	if err != nil {
		return in.explainFirestore(err)
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(in.Stderr, "nobody has published dead letters again, or discarded any")
		return err
	}
	if in.Config.JSON {
		lines := terminal.JSON(in.Stdout)
		for _, a := range all {
			if err := lines.Encode(a); err != nil {
				return err
			}
		}
		return nil
	}
	t := terminal.NewTable(in.Stdout, "TIME", "DID", "LETTERS", "BY", "COMMENT", "WHICH", "END")
	for _, a := range all {
		t.Row(a.Began.Format(time.RFC3339), a.Did, countedByReason(a), a.By, orDash(a.Comment), orDash(a.Which), howItEnded(a))
	}
	return t.Flush()
}

func countedByReason(a actions.Action) string {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(a.Reasons)) {
		parts = append(parts, fmt.Sprintf("%d %s", a.Reasons[reason], reason))
	}
	if len(parts) == 0 {
		return fmt.Sprint(a.Letters)
	}
	return strings.Join(parts, ", ")
}

func howItEnded(a actions.Action) string {
	switch {
	case a.Ended == nil:
		return "not ended: under way, or killed"
	case a.Failure != "":
		return "failed: " + a.Failure
	}
	return "done in " + a.Ended.Sub(a.Began).Round(time.Millisecond).String()
}
