package pubsubadmin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/northstar-engines/realtime-registry/internal/subscription"
)

// Rewind sets subscriptions back to a time: whatever was published since then
// and is still kept is delivered again, acknowledged or not; what is older counts
// as acknowledged. Messages that were acknowledged are there only on
// subscriptions that keep them, as Provision sets it up, for Retention.
//
// Pub/Sub counts messages around the time only roughly, so choose it a little
// earlier. The error lists every subscription that could not be rewound; the
// others are.
func Rewind(ctx context.Context, client *pubsub.Client, subscriptions []string, since time.Time) error {
	var faults []error
	for _, name := range subscriptions {
		_, err := client.SubscriptionAdminClient.Seek(ctx, &pubsubpb.SeekRequest{
			Subscription: client.Subscriber(name).String(),
			Target:       &pubsubpb.SeekRequest_Time{Time: timestamppb.New(since)},
		}, once)
		if err != nil {
			faults = append(faults, fmt.Errorf("rewind subscription %s: %w", subscription.Short(name), err))
		}
	}
	return errors.Join(faults...)
}

// Reaches returns how far back the subscriptions reach now, by their names as they were
// given, and the short names of those that do not exist. Of one at which these
// credentials may not look nothing is known.
func Reaches(ctx context.Context, client *pubsub.Client, names []string) (all map[string]subscription.Reach, missing []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	all = map[string]subscription.Reach{}
	for _, name := range names {
		have, err := client.SubscriptionAdminClient.GetSubscription(ctx, &pubsubpb.GetSubscriptionRequest{Subscription: client.Subscriber(name).String()}, once)
		switch status.Code(err) {
		case codes.OK:
			topic, err := topicOf(ctx, client, have)
			if err != nil {
				return nil, nil, fmt.Errorf("look at the topic of subscription %s: %w", subscription.Short(name), err)
			}
			reach := subscription.ReachOf(have, topic, time.Now())
			reach.Detached = subscription.TopicDeleted(have)
			all[name] = reach
		case codes.PermissionDenied:
			all[name] = subscription.Reach{Certain: time.Now()}
		case codes.NotFound:
			missing = append(missing, subscription.Short(name))
		default:
			return nil, nil, fmt.Errorf("look at subscription %s: %w", subscription.Short(name), err)
		}
	}
	return all, missing, nil
}

// topicOf returns the topic of a subscription; nil if it was deleted, or these credentials
// may not look at it.
func topicOf(ctx context.Context, client *pubsub.Client, have *pubsubpb.Subscription) (*pubsubpb.Topic, error) {
	if subscription.TopicDeleted(have) {
		return nil, nil
	}
	topic, err := client.TopicAdminClient.GetTopic(ctx, &pubsubpb.GetTopicRequest{Topic: have.Topic}, once)
	switch status.Code(err) {
	case codes.NotFound, codes.PermissionDenied:
		return nil, nil
	}
	return topic, err
}
