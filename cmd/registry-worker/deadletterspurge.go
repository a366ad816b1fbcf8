package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

var deadLettersPurgeCommand = command{
	Name:    "dead-letters purge",
	Summary: "discard refused messages",
	Details: "Counts the letters that are meant, asks (or --yes), and discards them: what they said\n" +
		"has no effect on who owns what, then or ever. Letters that come while it asks are\n" +
		"not meant. With --json each is printed before it is discarded, a line each, so that\n" +
		"a file has what was thrown away.\n\n" +
		"What was discarded by mistake is in the topic for as long as `provision` has it keep\n" +
		"letters: `gcloud pubsub subscriptions seek` to a time brings all of them back that\n" +
		"were refused since, also those that were redriven.\n\n" + leasing,
	Examples: []string{
		"registry-worker dead-letters purge --project my-project --reason malformed --dry-run",
		"registry-worker dead-letters purge --project my-project --reason malformed --before 168h",
		"registry-worker dead-letters purge --project my-project --reason conflict --json --yes > purged.ndjson",
	},
	Groups: letterGroups(config.DryRunGroup, config.ConfirmGroup),
	Rules:  []config.Rule{config.NeedProject},
	Run:    runDeadLettersPurge,
}

func runDeadLettersPurge(ctx context.Context, in *invocation) error {
	if err := in.canAskUnlessDry(); err != nil {
		return err
	}
	in.tellTarget(in.pubsubTarget())
	return in.withLetters(ctx, func(client *pubsub.Client) error {
		which := in.letters()
		if in.Config.DryRun || !in.Config.Yes {
			tally, err := in.purge(ctx, client, which, in.Config.DryRun && in.Config.JSON, true)
			if err != nil || in.Config.DryRun || tally.Total == 0 {
				return err
			}
			if err := in.confirm(ctx, in.pubsubTarget(), fmt.Sprintf("discard %s?", those(tally.Total))); err != nil {
				return err
			}
			which.Before = tally.Newest.Add(time.Nanosecond)
		}
		_, err := in.purge(ctx, client, which, in.Config.JSON, false)
		return err
	})
}

// errNotPrinted is why a letter was kept: it should have been printed first.
var errNotPrinted = errors.New("the letter could not be printed, and was not discarded")

func (in *invocation) purge(ctx context.Context, client *pubsub.Client, which pubsubadmin.Selection, lines, dry bool) (pubsubadmin.Tally, error) {
	options := pubsubadmin.PurgeOptions{Selection: which, DryRun: dry}
	did, told := "purged", "discarded"
	if dry {
		did, told = "would_purge", "would be discarded"
	}
	if lines {
		out := terminal.JSON(in.Stdout)
		options.Each = func(l pubsubadmin.DeadLetter) error {
			if err := out.Encode(fate{Did: did, Letter: l}); err != nil {
				return fmt.Errorf("%w: %w", errNotPrinted, err)
			}
			return nil
		}
	}
	tally, err := pubsubadmin.Purge(ctx, client, in.Config.DeadLetterTopic, options)
	if dry && !lines {
		if err := printSorts(in.Stderr, tally); err != nil {
			return tally, err
		}
	}
	fmt.Fprintf(in.Stderr, "%s %s\n", counted(tally.Total, "dead letter", "dead letters"), told)
	in.tellExtent(tally.Extent, time.Time{})
	switch {
	case errors.Is(err, errNotPrinted):
		return tally, err
	case err != nil:
		return tally, in.explainPubSub(err)
	}
	return tally, nil
}
