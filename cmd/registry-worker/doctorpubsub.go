package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/iam/apiv1/iampb"
	"cloud.google.com/go/pubsub/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
	"github.com/northstar-engines/realtime-registry/internal/subscription"
)

// pubsub checks topics, subscriptions, permissions, and what waits.
func (d *doctor) pubsub(ctx context.Context) {
	start, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	client, err := d.openPubSub(start)
	if err != nil {
		d.fault("pub/sub", err, "gcloud auth application-default login")
		return
	}
	defer client.Close()
	if _, err := d.missingTopics(start, client, d.Config.DeadLetterTopic); err != nil {
		d.fault("pub/sub", err, "see the message")
		return
	}
	d.provisioned(ctx, client)
	d.permissions(ctx, client)
	for _, name := range d.Config.Subscriptions {
		d.backlog(ctx, client, name)
	}
	d.deadLetters(ctx, client)
}

// provisioned looks at topics and subscriptions. Whatever provision would do is missing
// or wrong.
func (d *doctor) provisioned(ctx context.Context, client *pubsub.Client) {
	actions, err := pubsubadmin.Provision(ctx, client, pubsubadmin.ProvisionOptions{
		NoRetryPolicy: d.onPubSubEmulator(), Subscriptions: d.Config.Subscriptions, DeadLetterTopic: d.Config.DeadLetterTopic,
		LogTopic: d.Config.LogTopic, DryRun: true,
	})
	for _, a := range actions {
		what := a.Kind + " " + a.Name
		switch a.Verb {
		case pubsubadmin.Create:
			d.say(wrong, what, "it does not exist", programName+" provision")
		case pubsubadmin.Update:
			if d.asFarAsTheEmulatorCan(a) {
				d.say(fine, what, "as it should be, as far as the emulator can", "")
				continue
			}
			if a.Detail == subscription.Labelled {
				d.say(warning, what, "no label says since when it is there, so that `replay --since` would not know whether something is missing", programName+" provision")
				continue
			}
			d.say(wrong, what, "its settings differ: "+a.Detail, programName+" provision")
		default:
			d.say(fine, what, "as it should be", "")
		}
	}
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			d.say(wrong, "pub/sub", line, "what the message says, then "+programName+" provision")
		}
	}
}

// permissions asks whether these credentials have the permissions of a worker
// (docs/operations.md).
func (d *doctor) permissions(ctx context.Context, client *pubsub.Client) {
	if d.onPubSubEmulator() {
		d.say(fine, "permissions", "an emulator knows none", "")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	want := func(resource, role string, ask func(*iampb.TestIamPermissionsRequest) (*iampb.TestIamPermissionsResponse, error), permissions ...string) {
		what := "permissions on " + subscription.Short(resource)
		have, err := ask(&iampb.TestIamPermissionsRequest{Resource: resource, Permissions: permissions})
		switch missing := lacking(permissions, have.GetPermissions()); {
		case status.Code(err) == codes.NotFound: // reported before
		case err != nil:
			d.say(unseen, what, err.Error(), "")
		case len(missing) > 0:
			d.say(wrong, what, "these credentials lack "+strings.Join(missing, " and "), "give "+role+" on "+resource)
		default:
			d.say(fine, what, "as a worker needs them", "")
		}
	}
	subscriptions := func(r *iampb.TestIamPermissionsRequest) (*iampb.TestIamPermissionsResponse, error) {
		return client.SubscriptionAdminClient.TestIamPermissions(ctx, r)
	}
	topics := func(r *iampb.TestIamPermissionsRequest) (*iampb.TestIamPermissionsResponse, error) {
		return client.TopicAdminClient.TestIamPermissions(ctx, r)
	}
	for _, name := range d.Config.Subscriptions {
		want(client.Subscriber(name).String(), "roles/pubsub.subscriber and roles/pubsub.viewer", subscriptions, "pubsub.subscriptions.consume", "pubsub.subscriptions.get")
	}
	want(client.Publisher(d.Config.DeadLetterTopic).String(), "roles/pubsub.publisher and roles/pubsub.viewer", topics, "pubsub.topics.publish", "pubsub.topics.get")
	want(client.Publisher(d.Config.LogTopic).String(), "roles/pubsub.publisher", topics, "pubsub.topics.publish")
	want(client.Subscriber(d.Config.DeadLetterTopic).String(), "roles/pubsub.viewer", subscriptions, "pubsub.subscriptions.get")
}

func lacking(want, have []string) []string {
	return slices.DeleteFunc(slices.Clone(want), func(p string) bool { return slices.Contains(have, p) })
}

// backlogAge is how long an event may wait without a warning.
const backlogAge = time.Minute

// backlog looks at a few waiting messages, and releases them: Pub/Sub reports their
// number only to Cloud Monitoring.
func (d *doctor) backlog(ctx context.Context, client *pubsub.Client, name string) {
	oldest, err := pubsubadmin.OldestSeen(ctx, client, name)
	d.waits("backlog of "+subscription.Short(name), oldest, err)
}

// waits says what it means that the oldest event seen was published then.
func (d *doctor) waits(what string, oldest time.Time, err error) {
	switch {
	case status.Code(err) == codes.NotFound:
		d.say(unseen, what, "there is no such subscription", "")
	case err != nil:
		d.say(unseen, what, err.Error(), "")
	case oldest.IsZero():
		d.say(fine, what, "nothing waits that no worker has taken", "")
	case time.Since(oldest) > backlogAge:
		d.say(warning, what, fmt.Sprintf("events wait, one of them for %s", time.Since(oldest).Round(time.Second)),
			"see that workers run and are ready (/readyz/worker), and how much waits: subscription/num_undelivered_messages in Cloud Monitoring")
	default:
		d.say(fine, what, fmt.Sprintf("events wait, those looked at for %s at most", time.Since(oldest).Round(time.Second)), "")
	}
}

// deadLetters counts the dead letters.
func (d *doctor) deadLetters(ctx context.Context, client *pubsub.Client) {
	d.saysLetters(pubsubadmin.CountDeadLetters(ctx, client, d.Config.DeadLetterTopic, pubsubadmin.Selection{Limit: doctorReads}))
}

// saysLetters reports what a count has found.
func (d *doctor) saysLetters(tally pubsubadmin.Tally, err error) {
	switch {
	case status.Code(err) == codes.NotFound:
		d.say(unseen, "dead letters", "there is no such subscription", "")
	case err != nil:
		d.say(unseen, "dead letters", err.Error(), "")
	case tally.Total == 0:
		d.say(fine, "dead letters", "none", "")
	default:
		more := ""
		if tally.More {
			more = ", and more"
		}
		until := ""
		if tally.Kept > 0 {
			until = "; the oldest is deleted at " + tally.Oldest.Add(tally.Kept).Format(time.RFC3339)
		}
		d.say(warning, "dead letters", fmt.Sprintf("%d wait%s%s", tally.Total, more, until), programName+" dead-letters count")
	}
}
