package pubsubadmin

import (
	"context"
	"fmt"
	"time"

	"cloud.google.com/go/pubsub/v2"
)

// peekTimeout is how long OldestSeen waits for a message: the time after which a
// pull of an empty subscription is given up.
const peekTimeout = 2 * time.Second

// OldestSeen looks at up to ten messages that wait in a subscription, releases
// them, and returns when the oldest of them was published: zero if there is none.
// It need not be the oldest that waits. Pub/Sub counts the look as an attempt to
// deliver.
func OldestSeen(ctx context.Context, client *pubsub.Client, name string) (oldest time.Time, err error) {
	s := leases{client: client, subscription: client.Subscriber(name).String(), held: map[string]bool{}}
	if _, err := s.look(ctx); err != nil {
		return oldest, fmt.Errorf("look at subscription %s: %w", name, err)
	}
	defer s.release()
	messages, err := s.pullUpTo(ctx, peekTimeout, 10)
	if err != nil {
		return oldest, fmt.Errorf("look at subscription %s: %w", name, err)
	}
	for _, m := range messages {
		if at := m.Message.PublishTime.AsTime(); oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	return oldest, nil
}
