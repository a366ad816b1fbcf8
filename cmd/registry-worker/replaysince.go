package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
	"github.com/northstar-engines/realtime-registry/internal/replay"
	"github.com/northstar-engines/realtime-registry/internal/subscription"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

// replaySince runs `replay --since`: it says what that means, asks, applies the
// registry's log, and rewinds the subscriptions.
func (in *invocation) replaySince(ctx context.Context) error {
	if !in.Config.DryRun {
		if err := in.canAsk(); err != nil {
			return err
		}
	}
	if in.onPubSubEmulator() && in.firestoreTarget().Emulator == "" {
		return in.replaySinceInto(ctx, nil) // Firestore is another matter than this emulator
	}
	in.ledgerRate = ledgerRate(in.Config.Rate)
	return in.withStore(ctx, func(store registryStore) error { return in.replaySinceInto(ctx, store) })
}

// replaySinceInto is replaySince with the registry; nil: there is none.
func (in *invocation) replaySinceInto(ctx context.Context, store registryStore) error {
	began, target := time.Now(), in.pubsubTarget()
	logged, err := in.sayReplaySince(ctx, store, target)
	if err != nil || in.Config.DryRun {
		return err
	}
	if err := in.confirm(ctx, target, "bring this back?"); err != nil {
		return err
	}
	client, err := in.openPubSub(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	var failure error
	if logged {
		if failure = in.replayLog(ctx, client, store, began); ctx.Err() != nil {
			return failure
		}
	}
	// The events wait for no log: workers apply them whatever that holds.
	if err := pubsubadmin.Rewind(ctx, client, in.Config.Subscriptions, in.Config.Since); err != nil {
		return errors.Join(failure, in.explainPubSub(err))
	}
	fmt.Fprintln(in.Stderr, "rewound")
	return failure
}

// sayReplaySince says what is to be done, and reports whether the registry has a log.
func (in *invocation) sayReplaySince(ctx context.Context, store registryStore, to target) (logged bool, err error) {
	since := in.Config.Since
	in.tellTarget(to)
	if store != nil {
		in.tellTarget(in.firestoreTarget())
		began, err := store.LogSince(ctx)
		if err != nil {
			return false, err
		}
		logged = !began.IsZero()
		switch {
		case !logged:
			fmt.Fprintln(in.Stderr, noLog)
		case began.After(since):
			fmt.Fprintf(in.Stderr, "The registry's log begins at %s: claims and retractions from before are not in it.\n", began.Format(time.RFC3339))
		}
	}
	if logged {
		fmt.Fprintf(in.Stderr, "Claims and retractions of the log (%s), from %s (%s ago) on, are applied.\n",
			in.Config.LogTopic, since.Format(time.RFC3339), time.Since(since).Round(time.Second))
	}
	if time.Since(since) > subscription.Retention {
		fmt.Fprintf(in.Stderr, "Pub/Sub keeps no message for longer than %s, and subscriptions that `provision` made keep events for %s: what is older comes from an archive (replay FILE).\n",
			subscription.Days(subscription.LogRetention), subscription.Days(subscription.Retention))
	}
	fmt.Fprintf(in.Stderr, "Rewinding to %s (%s ago):\n", since.Format(time.RFC3339), time.Since(since).Round(time.Second))
	for _, s := range in.Config.Subscriptions {
		fmt.Fprintf(in.Stderr, "  %s\n", s)
	}
	fmt.Fprint(in.Stderr, "What was published since and is kept is delivered again, acknowledged or not; what was\n"+
		"published before and is not acknowledged is not delivered any more. Subscriptions keep\n"+
		"acknowledged messages only if they were told to, as `provision` does. The registry\n"+
		"ends the same; the workers have the work, and conflicts become dead letters once more.\n")
	return logged, nil
}

// replayLog applies the claims and retractions that were published since, until a time.
// Each is acknowledged once it is stored, so if it is killed, the next one does it all
// again.
func (in *invocation) replayLog(ctx context.Context, client *pubsub.Client, store ownership.Store, until time.Time) error {
	log, err := pubsubadmin.OpenLog(ctx, client, in.Config.LogTopic, in.Config.Since, until)
	if err != nil {
		return in.explainPubSub(err)
	}
	defer log.Close()
	note, err := in.refusals(ctx, false)
	if err != nil {
		return err
	}
	progress := newProgress(in.Stderr, "message", "of the log applied")
	note.progress = progress
	counts, err := replay.Run(ctx, store, log, replay.Options{
		Rate: in.Config.Rate, MaxClockSkew: in.Config.MaxClockSkew, Retractions: true,
		Only:      []events.Type{archived.ClaimedType, archived.RetractedType},
		Save:      func(c replay.Checkpoint) error { return log.Applied(c.Position.Line) },
		Refused:   note.write,
		Displaced: func(d replay.Displaced) error { progress.clear(); return in.tellDisplaced(d) },
		Progress:  func(c replay.Counts) { progress.at(c.Total(), 0, -1) },
	})
	err = errors.Join(err, note.close())
	progress.end(counts.Total())
	printCounts(in.report(), counts, "changed", "changed")
	switch refused := counts.Of(handlers.Refused); {
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted; the same command does it all again, which is harmless")
	case err != nil:
		return in.explainPubSub(err)
	case refused > 0:
		return fmt.Errorf("%s of the registry's log refused, see %s; the others are applied", counted(refused, "message", "messages"), terminal.Quote(note.where))
	}
	return nil
}
