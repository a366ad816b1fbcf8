package outbox

import (
	"context"
	"encoding/json"
	"fmt"

	"cloud.google.com/go/pubsub/v2"

	"github.com/northstar-engines/realtime-registry/events"
)

// pubsubTopic is a topic of Google Cloud Pub/Sub.
type pubsubTopic struct {
	publisher *pubsub.Publisher
	close     func()
}

// NewTopic returns the topic with a name, short or in full. Closing it also calls close,
// which closes the client; nil: the caller does. Events are in structured mode: the body
// of a message is a line of an archive.
func NewTopic(client *pubsub.Client, name string, close func()) Topic {
	publisher := client.Publisher(name)
	publisher.PublishSettings.Timeout = publishTimeout
	publisher.PublishSettings.CountThreshold = together
	return pubsubTopic{publisher, close}
}

// Publish implements Topic.
func (t pubsubTopic) Publish(ctx context.Context, all []events.Event) []error {
	errs, results := make([]error, len(all)), make([]*pubsub.PublishResult, len(all))
	for i, e := range all {
		line, err := json.Marshal(e)
		if err != nil {
			errs[i] = fmt.Errorf("event %s: %w", e.ID, err)
			continue
		}
		results[i] = t.publisher.Publish(ctx, &pubsub.Message{
			Attributes: map[string]string{"content-type": "application/cloudevents+json; charset=utf-8"}, Data: line,
		})
	}
	for i, r := range results {
		if r == nil {
			continue
		}
		if _, err := r.Get(ctx); err != nil {
			errs[i] = fmt.Errorf("topic %s: %w", t.publisher.ID(), err)
		}
	}
	return errs
}

// Close implements Topic.
func (t pubsubTopic) Close() {
	t.publisher.Stop()
	if t.close != nil {
		t.close()
	}
}
