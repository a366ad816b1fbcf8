package pubsubadmin

import (
	"context"
	"fmt"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/northstar-engines/realtime-registry/internal/subscription"
)

// topic creates the topic of a subscription, or brings it to what is wanted. If the
// subscription exists and its topic is in another project, it leaves that alone.
func (p *provisioning) topic(ctx context.Context, want subscription.Wanted, of *pubsubpb.Subscription) (created bool, err error) {
	target := &pubsubpb.Topic{Name: p.client.Publisher(want.Topic).String()}
	if keep := want.TopicRetention(); keep > 0 {
		target.MessageRetentionDuration = durationpb.New(keep)
	}
	action := Action{Verb: Keep, Kind: "topic", Name: want.Topic}
	if of != nil && of.Topic != target.Name {
		action.Detail = "it is " + of.Topic
	} else {
		if action, err = p.ownTopic(ctx, target, action); err != nil {
			return false, err
		}
	}
	if !p.done[want.Topic] {
		p.done[want.Topic] = true
		p.did(action)
	}
	return action.Verb == Create, nil
}

func (p *provisioning) ownTopic(ctx context.Context, target *pubsubpb.Topic, action Action) (Action, error) {
	admin := p.client.TopicAdminClient
	have, err := admin.GetTopic(ctx, &pubsubpb.GetTopicRequest{Topic: target.Name}, once)
	keep := target.MessageRetentionDuration.AsDuration()
	switch {
	case status.Code(err) == codes.NotFound:
		action.Verb = Create
		if keep > 0 {
			action.Detail = "kept for " + subscription.Days(keep)
		}
		if p.dryRun {
			return action, nil
		}
		if _, err = admin.CreateTopic(ctx, target); status.Code(err) == codes.AlreadyExists { // another process was faster
			err = nil
		}
		return action, err
	case err != nil:
		return action, err
	case have.MessageRetentionDuration.AsDuration() >= keep:
		return action, nil
	}
	action.Verb = Update
	action.Detail = fmt.Sprintf("kept for %s → %s", subscription.Days(have.MessageRetentionDuration.AsDuration()), subscription.Days(keep))
	if p.dryRun {
		return action, nil
	}
	_, err = admin.UpdateTopic(ctx, &pubsubpb.UpdateTopicRequest{
		Topic: target, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"message_retention_duration"}},
	})
	return action, err
}
