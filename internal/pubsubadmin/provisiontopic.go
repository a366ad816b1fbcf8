package pubsubadmin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/northstar-engines/realtime-registry/internal/subscription"
)

// retentionField is of Pub/Sub's Topic.
const retentionField = "message_retention_duration"

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
		if action, err = p.ownTopic(ctx, want, target, action); err != nil {
			return false, err
		}
	}
	if !p.done[want.Topic] {
		p.done[want.Topic] = true
		p.did(action)
	}
	return action.Verb == Create, nil
}

func (p *provisioning) ownTopic(ctx context.Context, want subscription.Wanted, target *pubsubpb.Topic, action Action) (Action, error) {
	have, err := p.client.TopicAdminClient.GetTopic(ctx, &pubsubpb.GetTopicRequest{Topic: target.Name}, once)
	switch {
	case status.Code(err) == codes.NotFound:
		return p.createTopic(ctx, want, target, action)
	case err != nil:
		return action, err
	}
	return p.updateTopic(ctx, want, have, target, action)
}

func (p *provisioning) createTopic(ctx context.Context, want subscription.Wanted, target *pubsubpb.Topic, action Action) (Action, error) {
	action.Verb = Create
	if keep := want.TopicRetention(); keep > 0 {
		action.Detail = "kept for " + subscription.Days(keep)
		if want.Replayed() {
			target.Labels = subscription.MadeLabels(time.Now())
		}
	}
	if p.dryRun {
		return action, nil
	}
	_, err := p.client.TopicAdminClient.CreateTopic(ctx, target)
	if status.Code(err) == codes.AlreadyExists { // another process was faster
		err = nil
	}
	return action, err
}

// updateTopic has the topic keep messages for as long as is wanted. One that keeps any
// gets a label that says since when.
func (p *provisioning) updateTopic(ctx context.Context, want subscription.Wanted, have, target *pubsubpb.Topic, action Action) (Action, error) {
	kept, keep := have.MessageRetentionDuration.AsDuration(), want.TopicRetention()
	var fields, texts []string
	if kept < keep {
		fields = append(fields, retentionField)
		texts = append(texts, fmt.Sprintf("kept for %s → %s", subscription.Days(kept), subscription.Days(keep)))
	}
	if want.Replayed() {
		switch {
		case kept < keep:
			fields, target.Labels = append(fields, subscription.LabelsField), subscription.MoreKept(have.Labels, kept, time.Now())
		case kept > 0 && !subscription.IsLabelled(have.Labels):
			fields, target.Labels = append(fields, subscription.LabelsField), subscription.Seen(have.Labels, time.Now())
			texts = append(texts, subscription.Labelled)
		}
	}
	if len(fields) == 0 {
		return action, nil
	}
	action.Verb, action.Detail = Update, strings.Join(texts, ", ")
	if p.dryRun {
		return action, nil
	}
	update := func(fields ...string) error {
		_, err := p.client.TopicAdminClient.UpdateTopic(ctx, &pubsubpb.UpdateTopicRequest{Topic: target, UpdateMask: &fieldmaskpb.FieldMask{Paths: fields}})
		return err
	}
	err := update(fields...)
	if status.Code(err) == codes.InvalidArgument && slices.Contains(fields, subscription.LabelsField) { // the emulator updates no labels
		if kept >= keep {
			return Action{Verb: Keep, Kind: action.Kind, Name: action.Name}, nil
		}
		err = update(retentionField)
	}
	return action, err
}
