package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/presence"
	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
	"github.com/northstar-engines/realtime-registry/internal/replay"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

// replaySince runs `replay --since`: it looks whether it can do all of it, says what
// that means, asks, applies the registry's log, and rewinds the subscriptions.
func (in *invocation) replaySince(ctx context.Context) error {
	if !in.Config.DryRun {
		if err := in.canAsk(); err != nil {
			return err
		}
	}
	if in.onPubSubEmulator() && in.firestoreTarget().Emulator == "" {
		if !in.Config.WithoutLog {
			return usagef("only Pub/Sub is an emulator, and the registry's log is applied to Firestore: want FIRESTORE_EMULATOR_HOST too, or --without-log")
		}
		return in.replaySinceInto(ctx, nil) // Firestore is another matter than this emulator
	}
	in.ledgerRate = ledgerRate(in.Config.Rate)
	return in.withStore(ctx, func(store registryStore) error { return in.replaySinceInto(ctx, store) })
}

// replaySinceInto is replaySince with the registry; nil: there is none.
func (in *invocation) replaySinceInto(ctx context.Context, store registryStore) error {
	began, target := time.Now(), in.pubsubTarget()
	in.tellTarget(target)
	if store != nil {
		if err := in.canReplaySince(ctx, store); err != nil {
			return err
		}
	}
	client, err := in.openPubSub(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	in.sayReplaySince()
	if err := in.reachBack(ctx, client); err != nil {
		return err
	}
	if err := in.waitsFromBefore(ctx, client); err != nil {
		return err
	}
	if store != nil {
		if err := in.sayWorkers(ctx); err != nil {
			return err
		}
	}
	if in.Config.DryRun {
		return nil
	}
	if err := in.confirm(ctx, in.changedBy(target, store), "bring this back?"); err != nil {
		return err
	}
	var refused error
	if !in.Config.WithoutLog {
		if refused, err = in.replayLog(ctx, client, store, began); err != nil {
			return fmt.Errorf("the registry's log was NOT applied as a whole, and nothing was rewound; the same command does it all again, which is harmless: %w", err)
		}
	}
	if err := pubsubadmin.Rewind(ctx, client, in.Config.Subscriptions, in.Config.Since); err != nil {
		return errors.Join(refused, fmt.Errorf("not all subscriptions were rewound; the same command does it all again, which is harmless: %w", in.explainPubSub(err)))
	}
	fmt.Fprintf(in.Stderr, "%s rewound: workers that run apply the events; %s doctor says when nothing waits\n",
		counted(len(in.Config.Subscriptions), "subscription", "subscriptions"), programName)
	return refused
}

// canReplaySince returns why not all of it can be brought back: a registry that is not
// the restored one, or has no log, or a log that cannot be read.
func (in *invocation) canReplaySince(ctx context.Context, store registryStore) error {
	in.tellTarget(in.firestoreTarget())
	if !in.Config.IntoEmpty {
		err := in.needDocuments(ctx, store, "--into-empty fills an empty registry with what is kept; nothing was changed")
		if err != nil {
			return err
		}
	}
	if err := in.sinceRecovery(ctx, store); err != nil || in.Config.WithoutLog {
		return err
	}
	began, err := store.LogSince(ctx)
	if err != nil {
		return in.explainFirestore(err)
	}
	if err := in.canReadLog(ctx, began); err != nil {
		return fmt.Errorf("%w. Claims, retractions and operators' moves would not come back, and nothing was changed: --without-log rewinds the subscriptions alone", err)
	}
	if began.After(in.Config.Since) {
		fmt.Fprintf(in.Stderr, "This registry has a log since %s: what was stored before may not be in it.\n", began.Format(time.RFC3339))
	}
	return nil
}

// canReadLog returns why the log of a registry that has one since a time cannot be read.
func (in *invocation) canReadLog(ctx context.Context, began time.Time) error {
	if began.IsZero() {
		return fmt.Errorf("the registry does not say that it has a log: %s provision says it in one whose backup is of a time before that", programName)
	}
	client, err := in.openPubSub(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	err = pubsubadmin.LookAtLog(ctx, client, in.Config.LogTopic)
	switch {
	case status.Code(err) == codes.NotFound:
		return fmt.Errorf("the registry's log cannot be read: there is no subscription %s (docs/recovery.md#a-topic-or-a-subscription-is-gone)", in.Config.LogTopic)
	case err != nil:
		return fmt.Errorf("the registry's log cannot be read: %w", in.explainPubSub(err))
	}
	return nil
}

// sinceRecovery warns of a time that is after a recovery of a moment ago, since the time
// that is meant is that of the backup; and of a registry that nobody has recovered since.
func (in *invocation) sinceRecovery(ctx context.Context, store registryStore) error {
	const moment = 24 * time.Hour
	epoch, _, err := store.Epoch(ctx)
	if err != nil {
		return in.explainFirestore(err)
	}
	switch {
	case epoch.Since.IsZero() || in.Config.Since.Before(epoch.Since):
	case time.Since(epoch.Since) >= moment:
		fmt.Fprintf(in.Stderr, "The ledger's epoch began at %s: if this database was restored since then, %s recover comes first.\n", epoch.Since.Format(time.RFC3339), programName)
	default:
		fmt.Fprintf(in.Stderr, "The ledger's epoch began at %s, before %s. If that was a recovery, --since wants the time of the backup, which is earlier still.\n",
			epoch.Since.Format(time.RFC3339), in.Config.Since.Format(time.RFC3339))
	}
	return nil
}

// sayReplaySince says what is to be done.
func (in *invocation) sayReplaySince() {
	since := in.Config.Since
	ago := fmt.Sprintf("%s (%s ago)", since.Format(time.RFC3339), time.Since(since).Round(time.Second))
	if in.Config.WithoutLog {
		fmt.Fprintln(in.Stderr, "The registry's log is NOT applied (--without-log): claims, retractions and operators' moves do not come back.")
	} else {
		fmt.Fprintf(in.Stderr, "Claims, retractions and operators' moves of the log (%s), from %s on, are applied to %s.\n", in.Config.LogTopic, ago, in.firestoreTarget())
	}
	fmt.Fprintf(in.Stderr, "Rewinding to %s:\n", ago)
	for _, s := range in.Config.Subscriptions {
		fmt.Fprintf(in.Stderr, "  %s\n", s)
	}
	fmt.Fprint(in.Stderr, "What was published since and is kept is delivered again, acknowledged or not. What the\n"+
		"registry has already changes nothing, except that conflicts become dead letters once more.\n"+
		"What was published before and still waits is DROPPED: if any does, give an earlier time.\n")
}

// changedBy is what the question names: the registry to which the log is applied, or the
// project whose subscriptions are rewound.
func (in *invocation) changedBy(subscriptions target, store registryStore) target {
	if store == nil || in.Config.WithoutLog {
		return subscriptions
	}
	return in.firestoreTarget()
}

// sayWorkers says whether a worker runs that would apply the events to this registry. It
// is no fault if none does: the events wait for it. Workers with another database do not
// say here that they run, so of these it can only warn.
func (in *invocation) sayWorkers(ctx context.Context) error {
	running, err := in.running(ctx)
	if err != nil {
		return err
	}
	workers := slices.DeleteFunc(running, func(p presence.Process) bool { return p.Role == roleAPI })
	if len(workers) > 0 {
		fmt.Fprintf(in.Stderr, "%s with %s, and %s the events.\n", counted(len(workers), "worker runs", "workers run"), in.firestoreTarget(),
			map[bool]string{true: "applies", false: "apply"}[len(workers) == 1])
	} else {
		fmt.Fprintf(in.Stderr, "NO WORKER has said within %s that it runs with %s: the events wait until one does (%s run).\n",
			presence.Gone, in.firestoreTarget(), programName)
	}
	fmt.Fprintln(in.Stderr, "A worker with another database would take some of them: none may run (docs/recovery.md, step 1).")
	return nil
}

// replayLog applies what the registry's log has since then, until a time. Each message is
// acknowledged once it is stored, so if it is killed, the next one does it all again.
// refused says that some can never be applied, and the others are.
func (in *invocation) replayLog(ctx context.Context, client *pubsub.Client, store ownership.Store, until time.Time) (refused, err error) {
	log, err := pubsubadmin.OpenLog(ctx, client, in.Config.LogTopic, in.Config.Since, until)
	if err != nil {
		return nil, in.explainPubSub(err)
	}
	defer log.Close()
	note, err := in.refusals(ctx, false)
	if err != nil {
		return nil, err
	}
	progress := newProgress(in.Stderr, "message", "of the log read")
	note.progress = progress
	counts, err := replay.Run(ctx, store, log, replay.Options{
		Rate: in.Config.Rate, MaxClockSkew: in.Config.MaxClockSkew, Retractions: true,
		Only:      []events.Type{archived.ClaimedType, archived.RetractedType, events.TenantMovedType},
		Save:      func(c replay.Checkpoint) error { return log.Applied(c.Position.Line) },
		Refused:   note.write,
		Displaced: func(d replay.Displaced) error { progress.clear(); return in.tellDisplaced(d) },
		Progress:  func(c replay.Counts) { progress.at(c.Total(), 0, -1) },
	})
	err = errors.Join(err, note.close())
	progress.end(counts.Total())
	printCounts(in.report(), counts, "message", "changed", "changed")
	switch n := counts.Of(handlers.Refused); {
	case errors.Is(err, context.Canceled):
		return nil, errors.New("interrupted")
	case err != nil:
		return nil, in.explainPubSub(err)
	case n > 0:
		refused = fmt.Errorf("%s of the registry's log refused, see %s; the others are applied", counted(n, "message", "messages"), terminal.Quote(note.where))
	}
	return refused, nil
}
