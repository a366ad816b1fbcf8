package main

import (
	"context"
	"fmt"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
)

// askAboutLetters has do act on the selected letters: first dry, then, after the
// question, on those that were there when it asked. With --dry-run it stops before
// the question, and with --yes it begins after it. lines has do print each letter.
// Who did it, and why, is kept.
func (in *invocation) askAboutLetters(ctx context.Context, did, question string,
	do func(ctx context.Context, client *pubsub.Client, which pubsubadmin.Selection, lines, dry bool) (pubsubadmin.Tally, error)) error {
	if !in.Config.DryRun {
		if err := in.canAsk(); err != nil {
			return err
		}
	}
	in.tellTarget(in.pubsubTarget())
	return in.withLetters(ctx, func(client *pubsub.Client) error {
		which := in.letters()
		if in.Config.DryRun || !in.Config.Yes {
			tally, err := do(ctx, client, which, in.Config.DryRun && in.Config.JSON, true)
			if err != nil || in.Config.DryRun || tally.Total == 0 {
				return err
			}
			if err := in.confirm(ctx, in.pubsubTarget(), fmt.Sprintf(question, those(tally.Total))); err != nil {
				return err
			}
			which.Before = tally.Newest.Add(time.Nanosecond)
		}
		return in.recorded(ctx, did, func() (pubsubadmin.Tally, error) {
			return do(ctx, client, which, in.Config.JSON, false)
		})
	})
}

func those(n int) string {
	if n == 1 {
		return "this dead letter"
	}
	return fmt.Sprintf("these %d dead letters", n)
}
