package peer

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"cloud.google.com/go/firestore"
	"cloud.google.com/go/pubsub/v2"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-googlecloud/v2/pkg/googlecloud"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
)

// watermillRouter is a Watermill router as its documentation sets one up: the
// Google Cloud subscriber, the recoverer and the retry middleware, and a handler
// that may be repeated. The handler is the cheapest that can be: it creates, and
// reads only if that fails. A router handles each message in a goroutine of
// its own; how many at a time is the subscriber's setting.
func watermillRouter(ctx context.Context, o Options, done *atomic.Int64) error {
	store, err := firestore.NewClient(ctx, o.Project)
	if err != nil {
		return err
	}
	defer store.Close()
	logger := watermill.NopLogger{}
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: time.Second}, logger)
	if err != nil {
		return err
	}
	router.AddMiddleware(
		middleware.Recoverer,
		middleware.Retry{MaxRetries: 3, InitialInterval: 100 * time.Millisecond, Logger: logger}.Middleware,
	)
	h := handler{store}
	for _, name := range o.Subscriptions {
		topic, _, _ := strings.Cut(name, ".")
		subscriber, err := googlecloud.NewSubscriber(googlecloud.SubscriberConfig{
			ProjectID:                        o.Project,
			GenerateSubscriptionName:         func(string) string { return name },
			DoNotCreateSubscriptionIfMissing: true,
			DoNotCreateTopicIfMissing:        true,
			ReceiveSettings: pubsub.ReceiveSettings{
				NumGoroutines:          o.Streams,
				MaxOutstandingMessages: concurrent,
			},
		}, logger)
		if err != nil {
			return err
		}
		router.AddConsumerHandler(name, topic, subscriber, func(m *message.Message) error {
			if err := h.handle(m.Context(), m.Metadata.Get("ce-type"), m.Payload, h.createOnce); err != nil {
				return err
			}
			done.Add(1)
			return nil
		})
	}
	return router.Run(ctx)
}
