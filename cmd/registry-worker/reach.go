package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
	"github.com/northstar-engines/realtime-registry/internal/subscription"
)

// spare is how much earlier than the backup the time of --since is, as docs/recovery.md
// types it. What is missing from an hour after that time on is not in the backup.
const spare = time.Hour

// reachBack returns an error if something is missing that was published since the time of
// --since: a subscription is not there, or does not reach back so far. It says what cannot
// be known of them.
func (in *invocation) reachBack(ctx context.Context, client *pubsub.Client) error {
	names := in.Config.Subscriptions
	if !in.Config.WithoutLog {
		names = append([]string{in.Config.LogTopic}, names...)
	}
	all, missing, err := pubsubadmin.Reaches(ctx, client, names)
	if err != nil {
		return in.explainPubSub(err)
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s not there: %s; %s provision makes it (docs/recovery.md#a-topic-or-a-subscription-is-gone). Nothing was changed",
			counted(len(missing), "subscription is", "subscriptions are"), strings.Join(missing, ", "), programName)
	}
	var gaps, unknown int
	for _, name := range names {
		if all[name].Detached {
			fmt.Fprintf(in.Stderr, "The topic of %s was deleted: what is kept comes back, and nothing new reaches it (docs/recovery.md#a-topic-or-a-subscription-is-gone)\n", subscription.Short(name))
		}
		switch text := reachText(all[name], in.Config.Since); {
		case all[name].Gone.After(in.Config.Since.Add(spare)):
			gaps++
			fmt.Fprintf(in.Stderr, "MISSING in %s: %s\n", subscription.Short(name), text)
		case all[name].Certain.After(in.Config.Since.Add(spare)):
			unknown++
			fmt.Fprintf(in.Stderr, "Not known of %s: %s\n", subscription.Short(name), text)
		case text != "":
			fmt.Fprintf(in.Stderr, "%s: %s\n", subscription.Short(name), text)
		}
	}
	if unknown > 0 {
		fmt.Fprintf(in.Stderr, "Cloud Logging keeps for 400 days who made and deleted topics and subscriptions: gcloud logging read --project %s --freshness 400d '%s'\n",
			shellQuote(in.Config.Project), `protoPayload.serviceName="pubsub.googleapis.com" AND protoPayload.methodName:("CreateSubscription" OR "DeleteSubscription" OR "CreateTopic" OR "DeleteTopic")`)
	}
	if gaps == 0 {
		return nil
	}
	if !in.Config.WithGap {
		return errors.New("what is missing was published and is not kept: it would not come back, and nothing was changed. Compare with the archive (verify), and replay that (replay FILE); --with-gap brings back what is kept (docs/recovery.md#a-topic-or-a-subscription-is-gone)")
	}
	fmt.Fprintln(in.Stderr, "What is missing does NOT come back (--with-gap): it is in an archive at best.")
	return nil
}

// waitsFromBefore returns an error if it sees an event that waits and that rewinding would
// drop, since it was published before the time of --since. It sees a few of those that
// wait: Pub/Sub says only to Cloud Monitoring how long the oldest has waited.
func (in *invocation) waitsFromBefore(ctx context.Context, client *pubsub.Client) error {
	names := in.Config.Subscriptions
	published, errs := make([]time.Time, len(names)), make([]error, len(names))
	var looks sync.WaitGroup
	for i, name := range names {
		looks.Go(func() { published[i], errs[i] = pubsubadmin.OldestSeen(ctx, client, name) })
	}
	looks.Wait()
	if err := errors.Join(errs...); err != nil {
		return in.explainPubSub(err)
	}
	var oldest time.Time
	for i, at := range published {
		if at.IsZero() || !at.Before(in.Config.Since) {
			continue
		}
		fmt.Fprintf(in.Stderr, "WAITS in %s, and would be dropped: an event that was published at %s\n", subscription.Short(names[i]), utc(at))
		if oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	if oldest.IsZero() {
		return nil
	}
	return fmt.Errorf("an event waits that was published before the time of --since, and nothing was changed. Let workers apply what waits, or give an earlier time: --since %s, if nothing older waits (subscription/oldest_unacked_message_age in Cloud Monitoring)",
		utc(oldest.Add(-spare)))
}

// reachText says what a subscription lacks of what was published since a time; "" for
// nothing.
func reachText(r subscription.Reach, since time.Time) string {
	switch {
	case r.Gone.After(since.Add(spare)):
		return fmt.Sprintf("what was published from %s to %s, since %s", utc(since), utc(r.Gone), r.Why)
	case r.Certain.After(since.Add(spare)):
		text := fmt.Sprintf("whether it has all that was published before %s: no label says since when it is there", utc(r.Certain))
		if r.Gone.After(since) {
			text += fmt.Sprintf(", and nothing from before %s is kept, since %s", utc(r.Gone), r.Why)
		}
		return text
	case r.Certain.After(since):
		return fmt.Sprintf("all that was published since %s is kept: enough, if the backup is of that time or later", utc(r.Certain))
	}
	return ""
}

func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }
