//go:build proofs

package robustness

import (
	"context"
	"fmt"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/judge"
)

// publisher publishes messages, and knows their names.
type publisher struct {
	x      *installation
	client *pubsub.Client
	topics map[string]*pubsub.Publisher

	pause sync.RWMutex // held to publish nothing

	mu    sync.Mutex
	names []string
	begun map[string]begun // messages that are not known to be acknowledged
}

// begun is a message that was published, or is about to be.
type begun struct {
	message
	at        time.Time
	confirmed bool
}

func (x *installation) newPublisher() *publisher {
	client, err := pubsub.NewClient(context.Background(), x.project.ID, x.project.PubSubOptions()...)
	require.NoError(x.t, err)
	x.t.Cleanup(func() { _ = client.Close() })
	p := &publisher{x: x, client: client, topics: map[string]*pubsub.Publisher{}, begun: map[string]begun{}}
	for _, typ := range events.PublishedTypes() {
		p.topics[typ.Topic()] = client.Publisher(typ.Topic())
	}
	return p
}

// publish publishes a message until Pub/Sub has confirmed it.
func (p *publisher) publish(m message) {
	p.mu.Lock()
	name := fmt.Sprint("m", len(p.names)+1)
	p.names = append(p.names, name)
	p.begun[name] = begun{message: m, at: time.Now()}
	p.mu.Unlock()
	record := m.record(name)
	record.At = now()
	if !p.send(name, m) {
		p.x.history.record(record) // it may have been published, or not
		return
	}
	record.Until, record.Status = now(), 200
	p.x.history.record(record)
	if m.event != nil {
		p.x.world.mu.Lock()
		defer p.x.world.mu.Unlock()
		p.x.world.past = append(p.x.world.past, *m.event)
	}
}

// send publishes a message until Pub/Sub has confirmed it, or all is over.
func (p *publisher) send(name string, m message) bool {
	attributes, data := m.attributes, m.data
	if m.event != nil {
		var err error
		if attributes, data, err = events.Encode(*m.event); err != nil {
			p.x.t.Errorf("publish: %v", err)
			return false
		}
	}
	attributes[nameAttribute] = name
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		p.pause.RLock()
		_, err := p.topics[m.topic].Publish(ctx, &pubsub.Message{Attributes: attributes, Data: data}).Get(ctx)
		p.confirmed(name, err == nil)
		p.pause.RUnlock()
		cancel()
		if err == nil {
			return true
		}
		select {
		case <-p.x.over:
			return false
		case <-time.After(time.Second):
		}
	}
}

func (p *publisher) confirmed(name string, is bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b, ok := p.begun[name]; ok && is {
		b.confirmed = true
		p.begun[name] = b
	}
}

// again publishes everything once more that was confirmed, and that no worker has
// acknowledged. The rest is published by who waits for its confirmation.
func (p *publisher) again() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, b := range p.begun {
		if b.confirmed && len(p.x.acks.left([]string{name})) > 0 {
			go p.send(name, b.message)
		}
	}
}

// mostUnsettled is how many messages may be unsettled while more are published: what
// gathers in an outage of a machine that is busy with other things, too, is then gone
// within the bound.
const mostUnsettled = 1500

// run publishes a step at each interval until the context ends, out of order.
func (p *publisher) run(ctx context.Context, interval time.Duration) {
	var publishing sync.WaitGroup
	defer publishing.Wait()
	var held []message
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	send := func() {
		i := p.x.world.chance(len(held))
		m := held[i]
		held[i] = held[len(held)-1]
		held = held[:len(held)-1]
		publishing.Go(func() { p.publish(m) })
	}
	for {
		select {
		case <-ctx.Done():
			for len(held) > 0 {
				send()
			}
			return
		case <-ticker.C:
			if p.count()-p.x.acks.count() > mostUnsettled {
				continue
			}
			held = append(held, p.x.world.next()...)
			for len(held) > 30 {
				send()
			}
		}
	}
}

// unsettledSince returns a time before the first message that is not acknowledged was
// published: a subscription that is rewound to a later time forgets that message.
func (p *publisher) unsettledSince() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	earliest := time.Now().Add(-20 * time.Second)
	for name, b := range p.begun {
		switch {
		case len(p.x.acks.left([]string{name})) == 0:
			delete(p.begun, name)
		case b.at.Before(earliest):
			earliest = b.at
		}
	}
	return earliest.Add(-time.Second)
}

func (p *publisher) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.names)
}

func (p *publisher) published() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.names...)
}

// lettersSubscription keeps dead letters for the history, apart from those of the
// operator.
const lettersSubscription = "robustness-letters"

// receive has messages of a subscription read until the context ends. If it is gone,
// because the emulator was started again, it waits for another one.
func (x *installation) receive(ctx context.Context, from *pubsub.Subscriber, read func(*pubsub.Message)) error {
	for {
		err := from.Receive(ctx, func(_ context.Context, m *pubsub.Message) {
			read(m)
			x.lastRead.Store(now())
			m.Ack()
		})
		if status.Code(err) != codes.NotFound && status.Code(err) != codes.Unavailable {
			return err
		}
		sleep(ctx, 200*time.Millisecond)
	}
}

// letters reads dead letters into the history until the context ends.
func (x *installation) letters(ctx context.Context, client *pubsub.Client) error {
	return x.receive(ctx, client.Subscriber(lettersSubscription), func(m *pubsub.Message) {
		x.history.record(judge.Record{
			Type: judge.Letter, At: now(), Name: m.Attributes[nameAttribute],
			Reason: m.Attributes["dead-letter-reason"], Detail: m.Attributes["dead-letter-detail"],
		})
	})
}
