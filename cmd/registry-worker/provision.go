package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
	"github.com/northstar-engines/realtime-registry/internal/pubsubadmin"
	"github.com/northstar-engines/realtime-registry/internal/subscription"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

var provisionCommand = command{
	Name:    "provision",
	Summary: "create topics, subscriptions, and the indexes and expiry of Firestore's fields",
	Details: "Creates what does not exist, and corrects the settings of what does: ack deadline,\n" +
		"backoff, retention, no expiry. Repeating it changes nothing. A subscription's topic is\n" +
		"the part of its name before the first dot. If a subscription cannot be used (its topic\n" +
		"was deleted, it has a filter, …), that is an error that says what to do, and no topic\n" +
		"is created for it. Dead letters come first, and are kept for 31 days.\n\n" +
		"It says first which database has the registry, and whether there is one yet: then see\n" +
		"that it is the one that is meant. Labels of what it makes say since when that keeps\n" +
		"messages, for replay --since.\n\n" +
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
	isNew := in.sayRegistry(ctx)
	actions, failure := in.provision(ctx, client)
	if err := in.provisionFields(ctx); err != nil {
		return errors.Join(failure, err)
	}
	if failure != nil {
		return failure // the registry must not put into an outbox what no topic takes
	}
	if err := in.provisionLog(ctx, actions, isNew); err != nil {
		return err
	}
	if in.Config.DryRun {
		fmt.Fprintln(in.Stderr, "dry run: nothing was changed")
	}
	return nil
}

// provision prints what was done, or what would be done.
func (in *invocation) provision(ctx context.Context, client *pubsub.Client) ([]pubsubadmin.Action, error) {
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
		return actions, in.explainPubSub(err)
	}
	return actions, nil
}

// createdOf reports whether a topic or a subscription was not there.
func createdOf(actions []pubsubadmin.Action, kind, name string) bool {
	return slices.ContainsFunc(actions, func(a pubsubadmin.Action) bool {
		return a.Verb == pubsubadmin.Create && a.Kind == kind && a.Name == subscription.Short(name)
	})
}

// firestoreLeftOut reports whether Firestore is another matter than an emulator of Pub/Sub.
func (in *invocation) firestoreLeftOut() bool {
	return in.onPubSubEmulator() && in.firestoreTarget().Emulator == ""
}

// sayRegistry says which registry this is, and reports whether it would be made anew: a
// database that is named by nobody is (default), and an operator may mean another.
func (in *invocation) sayRegistry(ctx context.Context) (isNew bool) {
	if in.firestoreLeftOut() {
		return false
	}
	where := in.firestoreTarget()
	in.tellTarget(where)
	err := in.withStore(ctx, func(store registryStore) error {
		text, err := in.hollow(ctx, store)
		if err != nil {
			return err
		}
		_, exists, err := store.Epoch(ctx)
		switch {
		case err != nil:
			return err
		case text == "":
			fmt.Fprintln(in.Stderr, "the registry: it is there, and has documents")
		case exists:
			fmt.Fprintln(in.Stderr, "the registry: it is there, and has no documents")
		default:
			isNew = true
			fmt.Fprintf(in.Stderr, "a new registry: %s. If it was to be a restored one, or there is one already, this is the wrong database%s\n", text, in.databaseSaid())
		}
		return nil
	})
	if err != nil {
		fmt.Fprintf(in.Stderr, "the registry: it is not known whether there is one in %s: %s\n", where, terminal.Line(err.Error()))
	}
	return isNew
}

// databaseSaid says how the database is named.
func (in *invocation) databaseSaid() string {
	if in.Config.Database == "(default)" {
		return ": --database (FIRESTORE_DATABASE) names another than (default)"
	}
	return ": see --database (FIRESTORE_DATABASE)"
}

// asFarAsTheEmulatorCan reports whether an action updates only settings that the
// emulator does not have, so that it would be wanted each time.
func (in *invocation) asFarAsTheEmulatorCan(a pubsubadmin.Action) bool {
	if a.Verb != pubsubadmin.Update || !in.onPubSubEmulator() {
		return false
	}
	for part := range strings.SplitSeq(a.Detail, ", ") {
		if part != "no expiry" && part != "kept for 7 days → 31 days" && part != subscription.Labelled {
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
