package dev

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/consumer"
)

// A Bus is a consumer.Transport within this process, for machines without the
// Pub/Sub emulator. It delivers at least once, in no particular order, and again
// after a nack.
type Bus struct {
	queue chan consumer.Message
	last  atomic.Int64 // message id
}

var _ consumer.Transport = (*Bus)(nil)

const (
	busCapacity    = 1000        // messages; Publish waits if there are more
	redeliverAfter = time.Second // like the start of the subscriptions' retry policy
)

// NewBus returns an empty bus.
func NewBus() *Bus { return &Bus{queue: make(chan consumer.Message, busCapacity)} }

// Publish delivers a message and returns its id, or the error of ctx.
func (b *Bus) Publish(ctx context.Context, m Message) (messageID string, err error) {
	messageID = strconv.FormatInt(b.last.Add(1), 10)
	published := consumer.Message{
		ID:           messageID,
		Subscription: m.Topic + ".realtime-registry",
		Attributes:   m.Attributes,
		Data:         m.Data,
		PublishTime:  time.Now(),
	}
	select {
	case b.queue <- published:
		return messageID, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// Check implements consumer.Transport: nothing is ever missing.
func (b *Bus) Check(context.Context) error { return nil }

// Ready implements consumer.Transport.
func (b *Bus) Ready() error { return nil }

// Receive implements consumer.Transport.
func (b *Bus) Receive(ctx context.Context, _ consumer.Limits, deliver func(context.Context, consumer.Message)) error {
	var unsettled sync.WaitGroup
	defer unsettled.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-b.queue:
			unsettled.Add(1)
			m.Settler = &receipt{ctx: ctx, bus: b, message: m, settled: unsettled.Done}
			deliver(ctx, m)
		}
	}
}

// DeadLetter implements consumer.Transport. None is kept, since no process could
// read it later.
func (b *Bus) DeadLetter(context.Context, consumer.DeadLetter) error { return nil }

// again delivers a message that was nacked, after a while, unless receiving has
// ended by then.
func (b *Bus) again(ctx context.Context, m consumer.Message) {
	select {
	case <-time.After(redeliverAfter):
	case <-ctx.Done():
		return
	}
	select {
	case b.queue <- m:
	case <-ctx.Done():
	}
}

// receipt settles one delivery. The context is that of the Receive which made
// it: nothing is delivered again after that.
type receipt struct {
	ctx     context.Context
	bus     *Bus
	message consumer.Message
	settled func()
}

func (r *receipt) Ack() { r.settled() }

func (r *receipt) Nack() {
	go r.bus.again(r.ctx, r.message)
	r.settled()
}
