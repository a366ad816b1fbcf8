package main

import (
	"context"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
)

var replayCommand = command{
	Name:    "replay",
	Args:    "FILE…",
	Summary: "apply archives of events to the registry, or rewind the subscriptions",
	Details: "With FILEs: applies one structured CloudEvent a line directly to the registry, without\n" +
		"Pub/Sub; - is standard input, and .gz is unpacked. Replaying again is harmless.\n" +
		"Replaying an archive of another environment is not, and cannot be undone: so it first\n" +
		"reads the files, says where they come from and who would own what, and asks. With\n" +
		"--yes it does neither. --dry-run only says it, and changes nothing.\n\n" +
		"Retractions of moves and plain sets of an archive are left out unless\n" +
		"--with-retractions and --with-assertions ask for them. These, and lines that can never\n" +
		"succeed, are named with their reason; the exit code is then 1. Owners that lost to an\n" +
		"earlier event are named too. An archive of `export --events` that was cut or changed\n" +
		"is refused before anything is written; from a pipe, at its end.\n\n" +
		"With --checkpoint, a replay that was killed resumes where it was, if the target and\n" +
		"the lines up to there are still the same.\n\n" +
		"With --since TIME, in place of FILEs: rewinds the subscriptions, so that Pub/Sub\n" +
		"delivers again, to the running workers, what was published since and is kept. That is\n" +
		"harmless too; it asks first, or --yes.",
	Examples: []string{
		"registry-worker replay --project my-project --dry-run events.ndjson.gz",
		"registry-worker replay --project my-project --checkpoint replay.json events.ndjson.gz",
		"registry-worker replay --project my-project --yes --with-retractions --with-assertions events.ndjson.gz",
		"registry-worker replay --project my-project --since 2h",
	},
	Groups: []config.Group{
		config.ReplayGroup, config.DryRunGroup, config.RateGroup, config.ConfirmGroup,
		config.ProjectGroup, config.RegistryGroup, config.PubSubGroup, config.EventsGroup, config.DeletionGroup, config.LogGroup,
	},
	Rules: []config.Rule{
		config.NeedProject,
		config.NeedSharedRegistry("this process's memory ends with it: want firestore"),
	},
	Run: runReplay,
}

func runReplay(ctx context.Context, in *invocation) error {
	switch {
	case !in.Config.Since.IsZero() && len(in.Args) > 0:
		return usagef("--since rewinds the subscriptions, FILEs are applied directly: want one of the two")
	case !in.Config.Since.IsZero():
		return in.rewind(ctx)
	case len(in.Args) == 0:
		return usagef("no FILE; - is standard input, and --since rewinds the subscriptions")
	}
	return in.replayFiles(ctx)
}

// rewind says what rewinding means, asks, and rewinds.
func (in *invocation) rewind(ctx context.Context) error {
	if !in.Config.DryRun {
		if err := in.canAsk(); err != nil {
			return err
		}
	}
	since, target := in.Config.Since, in.pubsubTarget()
	in.tellTarget(target)
	fmt.Fprintf(in.Stderr, "Rewinding to %s (%s ago):\n", since.Format(time.RFC3339), time.Since(since).Round(time.Second))
	for _, s := range in.Config.Subscriptions {
		fmt.Fprintf(in.Stderr, "  %s\n", s)
	}
	fmt.Fprint(in.Stderr, "What was published since and is kept is delivered again, acknowledged or not; what was\n"+
		"published before and is not acknowledged is not delivered any more. Subscriptions keep\n"+
		"acknowledged messages only if they were told to, as `provision` does. The registry\n"+
		"ends the same; the workers have the work, and conflicts become dead letters once more.\n")
	if in.Config.DryRun {
		return nil
	}
	if err := in.confirm(ctx, target, "rewind these subscriptions?"); err != nil {
		return err
	}
	client, err := in.openPubSub(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := pubsubadmin.Rewind(ctx, client, in.Config.Subscriptions, since); err != nil {
		return in.explainPubSub(err)
	}
	fmt.Fprintln(in.Stderr, "rewound")
	return nil
}
