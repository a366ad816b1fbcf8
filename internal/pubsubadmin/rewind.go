package pubsubadmin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
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
