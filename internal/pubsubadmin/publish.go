package pubsubadmin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/northstar-engines/realtime-registry/events"
)

// How much a Publisher has in flight, at most. Its memory does not grow with
// what is published.
const (
	maxUnconfirmed      = 10_000
	maxUnconfirmedBytes = 32 << 20
	publishTimeout      = 60 * time.Second
)

// Publisher publishes events to the topics of their types, and sees to it that
// each is confirmed. It is safe for concurrent use.
type Publisher struct {
	client  *pubsub.Client
	pending chan unconfirmed // in the order of publishing
	done    chan struct{}

	mu     sync.Mutex
	topics map[string]*pubsub.Publisher
}

type unconfirmed struct {
	topic     string
	result    *pubsub.PublishResult
	confirmed func(error)
}

// NewPublisher returns a publisher over the client, which the caller closes
// after the publisher.
func NewPublisher(client *pubsub.Client) *Publisher {
	p := &Publisher{
		client:  client,
		pending: make(chan unconfirmed, maxUnconfirmed),
		done:    make(chan struct{}),
		topics:  map[string]*pubsub.Publisher{},
	}
	go p.confirm()
	return p
}

// Publish hands the event over, in binary mode, and returns; it waits while too
// much is in flight. The error is that of the event: there is no topic for its
// type, or it cannot be encoded; or that of ctx. Else confirmed is called once,
// in the order of the calls and by one goroutine: with nil when Pub/Sub has the
// event, or with why it has not.
func (p *Publisher) Publish(ctx context.Context, e events.Event, confirmed func(error)) error {
	if err := publishable(e); err != nil {
		return err
	}
	attributes, data, err := events.Encode(e)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return p.send(ctx, e.Type().Topic(), &pubsub.Message{Attributes: attributes, Data: data}, confirmed)
}

// PublishLine is Publish for an event that came as a line of an archive: the
// line itself is sent, in structured mode, so that what this program does not
// know of it reaches other subscribers. The line may be changed afterwards.
func (p *Publisher) PublishLine(ctx context.Context, e events.Event, line []byte, confirmed func(error)) error {
	if err := publishable(e); err != nil {
		return err
	}
	attributes := map[string]string{"content-type": "application/cloudevents+json; charset=utf-8"}
	return p.send(ctx, e.Type().Topic(), &pubsub.Message{Attributes: attributes, Data: bytes.Clone(line)}, confirmed)
}

func publishable(e events.Event) error {
	switch {
	case e.Data == nil:
		return errors.New("publish: the event has no data")
	case e.Type().Topic() == "":
		return fmt.Errorf("publish: events of type %s occur in archives only: replay takes them", e.Type())
	}
	return nil
}

func (p *Publisher) send(ctx context.Context, topic string, m *pubsub.Message, confirmed func(error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	result := p.topic(topic).Publish(ctx, m)
	select {
	case p.pending <- unconfirmed{topic, result, confirmed}:
		return nil
	case <-ctx.Done(): // the event may have been sent, but its result is lost
		return ctx.Err()
	}
}

// Close waits until every event is confirmed, or has failed, and every function
// given to Publish has returned.
func (p *Publisher) Close() {
	p.mu.Lock()
	for _, topic := range p.topics {
		topic.Stop()
	}
	p.mu.Unlock()
	close(p.pending)
	<-p.done
}

func (p *Publisher) topic(name string) *pubsub.Publisher {
	p.mu.Lock()
	defer p.mu.Unlock()
	topic, ok := p.topics[name]
	if !ok {
		topic = p.client.Publisher(name)
		topic.PublishSettings.CountThreshold = pubsub.MaxPublishRequestCount
		topic.PublishSettings.NumGoroutines = 2 * runtime.GOMAXPROCS(0)
		topic.PublishSettings.Timeout = publishTimeout
		topic.PublishSettings.FlowControlSettings = pubsub.FlowControlSettings{
			MaxOutstandingMessages: maxUnconfirmed,
			MaxOutstandingBytes:    maxUnconfirmedBytes,
			LimitExceededBehavior:  pubsub.FlowControlBlock,
		}
		p.topics[name] = topic
	}
	return topic
}

// confirm tells the results. It waits for each in turn: a later one that is
// there already only waits for its turn to be told.
func (p *Publisher) confirm() {
	defer close(p.done)
	for u := range p.pending {
		_, err := u.result.Get(context.Background()) // ends by publishTimeout
		if err != nil {
			err = fmt.Errorf("publish to topic %s: %w", u.topic, err)
		}
		u.confirmed(err)
	}
}
