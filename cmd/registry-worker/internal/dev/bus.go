package dev

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/consumer"
)

// Bus is a consumer.Transport within this process, for machines without the
// Pub/Sub emulator: at least once, no order promised, a nack delivers again.
type Bus struct {
	queue chan consumer.Message
	last  atomic.Int64 // message id
}

var _ consumer.Transport = (*Bus)(nil)

const (
	busCapacity    = 1000        // messages; Publish waits if there are more
	redeliverAfter = time.Second // as the subscriptions' retry policy begins
)

// NewBus returns an empty bus.
func NewBus() *Bus { return &Bus{queue: make(chan consumer.Message, busCapacity)} }

// Publish hands a message over and returns its id, or the error of ctx.
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

// DeadLetter implements consumer.Transport. Nobody could read them after this
// process, so none is kept.
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
