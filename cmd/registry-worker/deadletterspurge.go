package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/actions"
	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

var deadLettersPurgeCommand = command{
	Name:    "dead-letters purge",
	Summary: "discard refused messages",
	Details: "Counts the selected letters, asks (or --yes), and discards them. Their events never\n" +
		"have an effect on who owns what. Letters that come while it asks are not discarded.\n" +
		"With --json each letter is printed before it is discarded, a line each, so that a file\n" +
		"can keep what was thrown away. Who did it (--by) and why (--comment) are kept: see\n" +
		"dead-letters history.\n\n" +
		"Letters that were discarded by mistake stay in the topic as long as `provision` has it\n" +
		"keep letters: `gcloud pubsub subscriptions seek` to a time brings back all that were\n" +
		"refused since, including those that were redriven.\n\n" + leasing,
	Examples: []string{
		"registry-worker dead-letters purge --project my-project --reason malformed --dry-run",
		"registry-worker dead-letters purge --project my-project --reason malformed --before 168h",
		"registry-worker dead-letters purge --project my-project --reason conflict --json --yes > purged.ndjson",
	},
	Groups: letterGroups(config.ByGroup, config.CommentGroup, config.RegistryGroup, config.DryRunGroup, config.ConfirmGroup),
	Rules:  []config.Rule{config.NeedProject, needRecords},
	Run:    runDeadLettersPurge,
}

func runDeadLettersPurge(ctx context.Context, in *invocation) error {
	return in.askAboutLetters(ctx, actions.Purge, "discard %s?", in.purge)
}

// errNotPrinted: the letter was kept, since it could not be printed first.
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
