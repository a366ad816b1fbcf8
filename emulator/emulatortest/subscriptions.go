package emulatortest

import (
	"context"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// deleteSubscriptions deletes what is left of a project's subscriptions. The emulator
// keeps a thread for each, which wakes up every few milliseconds: what a thousand tests
// leave behind would take a third of a processor from those that come after them.
func deleteSubscriptions(host, project string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///"+host, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	client := pubsubpb.NewSubscriberClient(conn)
	for {
		left, err := client.ListSubscriptions(ctx, &pubsubpb.ListSubscriptionsRequest{Project: "projects/" + project})
		if err != nil || len(left.GetSubscriptions()) == 0 {
			return err
		}
		for _, s := range left.GetSubscriptions() {
			if _, err := client.DeleteSubscription(ctx, &pubsubpb.DeleteSubscriptionRequest{Subscription: s.GetName()}); err != nil {
				return err
			}
		}
	}
}
