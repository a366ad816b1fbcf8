package peer

import (
	"context"
	"sync/atomic"

	"cloud.google.com/go/firestore"
	"cloud.google.com/go/pubsub/v2"
	"golang.org/x/sync/errgroup"
)

// concurrent is how many messages the two peers handle at the same time for each
// subscription. It was chosen by measuring: with fewer both are slower, with
// more no faster.
const concurrent = 64

// transaction is what most people write: Google's clients, and a transaction
// for each message.
func transaction(ctx context.Context, o Options, done *atomic.Int64) error {
	client, err := pubsub.NewClient(ctx, o.Project)
	if err != nil {
		return err
	}
	defer client.Close()
	store, err := firestore.NewClient(ctx, o.Project)
	if err != nil {
		return err
	}
	defer store.Close()
	h := handler{store}
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range o.Subscriptions {
		subscriber := client.Subscriber(name)
		subscriber.ReceiveSettings.NumGoroutines = o.Streams
		subscriber.ReceiveSettings.MaxOutstandingMessages = concurrent
		subscriber.ReceiveSettings.ShutdownOptions = &pubsub.ShutdownOptions{Timeout: 0}
		group.Go(func() error {
			return subscriber.Receive(ctx, func(ctx context.Context, m *pubsub.Message) {
				if h.handle(ctx, m.Attributes["ce-type"], m.Data, h.getOrSet) != nil {
					m.Nack()
					return
				}
				m.Ack()
				done.Add(1)
			})
		})
	}
	return group.Wait()
}
