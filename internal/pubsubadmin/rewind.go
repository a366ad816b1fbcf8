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

// Missing returns those of the subscriptions that do not exist. One that these credentials
// may not look at is assumed to.
func Missing(ctx context.Context, client *pubsub.Client, subscriptions []string) (missing []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	for _, name := range subscriptions {
		_, err := client.SubscriptionAdminClient.GetSubscription(ctx, &pubsubpb.GetSubscriptionRequest{Subscription: client.Subscriber(name).String()}, once)
		switch status.Code(err) {
		case codes.OK, codes.PermissionDenied:
		case codes.NotFound:
			missing = append(missing, subscription.Short(name))
		default:
			return nil, fmt.Errorf("look at subscription %s: %w", subscription.Short(name), err)
		}
	}
	return missing, nil
}
