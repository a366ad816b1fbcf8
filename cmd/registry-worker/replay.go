package main

import (
	"context"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
)

var replayCommand = command{
	Name:    "replay",
	Args:    "FILE…",
	Summary: "apply archives of events to the registry, or bring back what was published since a time",
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
		"With --since TIME, in place of FILEs: brings back what was published since and is kept.\n" +
		"It applies the registry's log (--log-topic: claims, retractions, operators' moves), and\n" +
		"rewinds the subscriptions, so that Pub/Sub delivers the events again to the running\n" +
		"workers. That is harmless too, also after it was killed; it asks first, or --yes. It is\n" +
		"refused before anything is changed if the registry has no documents (--into-empty), if\n" +
		"its log cannot be read (--without-log), or if a subscription does not keep all that was\n" +
		"published since, as it was made later or keeps messages for less long (--with-gap).",
	Examples: []string{
		"registry-worker replay --project my-project --dry-run events.ndjson.gz",
		"registry-worker replay --project my-project --checkpoint replay.json events.ndjson.gz",
		"registry-worker replay --project my-project --yes --with-retractions --with-assertions events.ndjson.gz",
		"registry-worker replay --project my-project --since 2h",
	},
	Groups: []config.Group{
		config.ReplayGroup, config.DryRunGroup, config.RateGroup, config.ConfirmGroup,
		config.ProjectGroup, config.RegistryGroup, config.PubSubGroup, config.ClaimsGroup, config.EventsGroup, config.DeletionGroup, config.LogGroup,
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
		return usagef("--since brings back what topics keep, FILEs are applied directly: want one of the two")
	case !in.Config.Since.IsZero():
		return in.replaySince(ctx)
	case len(in.Args) == 0:
		return usagef("no FILE; - is standard input, and --since brings back what topics keep")
	}
	return in.replayFiles(ctx)
}
