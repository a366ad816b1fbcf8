package main

import (
	"context"
	"fmt"
	"strings"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
)

var provisionCommand = command{
	Name:    "provision",
	Summary: "create topics, subscriptions, and the indexes and expiry of Firestore's fields",
	Details: "Creates what does not exist, and corrects the settings of what does: ack deadline,\n" +
		"backoff, retention, no expiry. Repeating it changes nothing. A subscription's topic is\n" +
		"the part of its name before the first dot. If a subscription cannot be used (its topic\n" +
		"was deleted, it has a filter, …), that is an error that says what to do, and no topic\n" +
		"is created for it. Dead letters come first, and are kept for 31 days.\n\n" +
		"In Firestore it turns off indexes that no query uses, and turns on the expiry of\n" +
		"temporary documents. If the credentials may not do this, it prints the commands\n" +
		"instead. With an emulator there is nothing to do.",
	Examples: []string{
		"registry-worker provision --project my-project --dry-run",
		"registry-worker provision --project my-project",
	},
	Groups: []config.Group{config.ProjectGroup, config.RegistryGroup, config.PubSubGroup, config.ClaimsGroup, config.DryRunGroup, config.LogGroup},
	Rules:  []config.Rule{config.NeedProject, config.NeedSharedRegistry("memory has no fields to set up: want firestore"), config.NeedTopicNames},
	Run:    runProvision,
}

func runProvision(ctx context.Context, in *invocation) error {
	in.tellTarget(in.pubsubTarget())
	client, err := in.openPubSub(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := in.missingTopics(ctx, client, in.Config.DeadLetterTopic); err != nil {
		return err
	}
	if err := in.provision(ctx, client); err != nil {
		return err
	}
	if err := in.provisionFields(ctx); err != nil {
		return err
	}
	if err := in.provisionLog(ctx); err != nil {
		return err
	}
	if in.Config.DryRun {
		fmt.Fprintln(in.Stderr, "dry run: nothing was changed")
	}
	return nil
}

// provision prints what was done, or what would be done.
func (in *invocation) provision(ctx context.Context, client *pubsub.Client) error {
	actions, err := pubsubadmin.Provision(ctx, client, pubsubadmin.ProvisionOptions{
		NoRetryPolicy:   in.onPubSubEmulator(),
		Subscriptions:   in.Config.Subscriptions,
		DeadLetterTopic: in.Config.DeadLetterTopic,
		LogTopic:        in.Config.LogTopic,
		DryRun:          in.Config.DryRun,
	})
	for _, action := range actions {
		if in.asFarAsTheEmulatorCan(action) {
			action.Verb, action.Detail = pubsubadmin.Keep, "as far as the emulator can"
		}
		fmt.Fprintln(in.Stdout, action)
	}
	if err != nil {
		return in.explainPubSub(err)
	}
	return nil
}

// asFarAsTheEmulatorCan reports whether an action updates only settings that the
// emulator does not have, so that it would be wanted each time.
func (in *invocation) asFarAsTheEmulatorCan(a pubsubadmin.Action) bool {
	if a.Verb != pubsubadmin.Update || !in.onPubSubEmulator() {
		return false
	}
	for part := range strings.SplitSeq(a.Detail, ", ") {
		if part != "no expiry" && part != "kept for 7 days → 31 days" {
			return false
		}
	}
	return true
}

// missingTopics returns the topics that do not exist, or an error if Pub/Sub does
// not answer in time. A topic that these credentials may not look at is assumed to
// exist: the right to publish does not include the right to look.
func (in *invocation) missingTopics(ctx context.Context, client *pubsub.Client, topics ...string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var missing []string
	for _, topic := range topics {
		name := client.Publisher(topic).String()
		_, err := client.TopicAdminClient.GetTopic(ctx, &pubsubpb.GetTopicRequest{Topic: name}, once)
		switch status.Code(err) {
		case codes.OK, codes.PermissionDenied:
		case codes.NotFound:
			missing = append(missing, name)
		default:
			return nil, in.explainPubSub(fmt.Errorf("topic %s: %w", name, err))
		}
	}
	return missing, nil
}

// once turns the client's retries off: they would go on until the deadline, and
// then hide the error.
var once = gax.WithRetry(func() gax.Retryer { return nil })
