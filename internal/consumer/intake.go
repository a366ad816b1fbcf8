package consumer

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
)

// errDraining is why a message is nacked at shutdown.
var errDraining = errors.New("the worker is draining")

// work is a message on its way through the loop.
type work struct {
	message  Message
	size     int64
	received time.Time
	event    events.Event // zero Data if the message was not decoded
	Work

	admitted *admission // nil: not, or not yet
	settled  atomic.Bool
}

// Weight is what the message takes of a batch.
func (w *work) Weight() Weight { return Weight{len(w.Changes), w.size} }

// deliver takes one message from the transport and admits it. It is called from
// many goroutines.
func (c *Consumer) deliver(ctx context.Context, m Message) {
	w := &work{message: m, size: m.size(), received: time.Now()}
	c.progress.received(w.received)
	if !c.admission.admit(ctx, w.size) {
		c.nackDraining(w)
		return
	}
	w.admitted = &c.admission
	c.pass(w, c.intake)
}

// decoder decodes messages until Run is over. There is a small fixed pool of them:
// decoding on Pub/Sub's goroutine of each message would spend a fifth of its time
// growing that goroutine's stack.
func (c *Consumer) decoder() {
	for {
		select {
		case w := <-c.intake:
			refusal := c.understand(w)
			c.telemetry.start(w)
			if refusal != nil {
				c.settle(w, handlers.Refuse(refusal))
				continue
			}
			c.pass(w, c.route(w).queue)
		case <-c.over:
			return
		}
	}
}

// pass hands work to the next stage. At the end of a drain that stage takes it too,
// to nack it.
func (c *Consumer) pass(w *work, next chan<- *work) {
	select {
	case next <- w:
	case <-c.over:
	}
}

// nackDraining nacks what has not been settled, because of a shutdown.
func (c *Consumer) nackDraining(works ...*work) {
	for _, w := range works {
		c.settle(w, handlers.Retry(errDraining))
	}
}

// understand decodes the message and asks the handlers what it changes.
func (c *Consumer) understand(w *work) (refusal *events.Refusal) {
	defer func() {
		if p := recover(); p != nil {
			refusal = c.panicked(w, p)
		}
	}()
	m := w.message
	event, err := c.decode(c.rules.of(m), m.Attributes, m.Data)
	if errors.As(err, &refusal) {
		return refusal
	}
	if err != nil {
		return &events.Refusal{Reason: events.Malformed, Detail: err.Error()}
	}
	w.event = event
	w.Changes = handlers.Changes(event)
	return nil
}

// panicked is called after a recover. The refusal names the panic; the stack goes
// to the log, not to readers of dead letters.
func (c *Consumer) panicked(w *work, p any) *events.Refusal {
	c.log.panicked(w, p, debug.Stack())
	return &events.Refusal{Reason: events.Panic, Detail: fmt.Sprint(p)}
}

// admission bounds the messages, and their bytes, that are in the loop.
type admission struct {
	messages, bytes *semaphore.Weighted
	maxMessages     int64
	maxBytes        int64
}

func newAdmission(messages int, bytes int64) admission {
	return admission{semaphore.NewWeighted(int64(messages)), semaphore.NewWeighted(bytes), int64(messages), bytes}
}

// admit waits until there is room, or ctx ends.
func (a admission) admit(ctx context.Context, size int64) bool {
	if a.messages.Acquire(ctx, 1) != nil {
		return false
	}
	if a.bytes.Acquire(ctx, min(size, a.maxBytes)) != nil {
		a.messages.Release(1)
		return false
	}
	return true
}

// tryAdmit is admit without waiting.
func (a admission) tryAdmit(size int64) bool {
	if !a.messages.TryAcquire(1) {
		return false
	}
	if !a.bytes.TryAcquire(min(size, a.maxBytes)) {
		a.messages.Release(1)
		return false
	}
	return true
}

// halfFree reports whether half of what it bounds may still be admitted.
func (a admission) halfFree() bool {
	messages, size := max(1, a.maxMessages/2), max(1, a.maxBytes/2)
	if !a.messages.TryAcquire(messages) {
		return false
	}
	defer a.messages.Release(messages)
	if !a.bytes.TryAcquire(size) {
		return false
	}
	a.bytes.Release(size)
	return true
}

func (a admission) release(size int64) {
	a.messages.Release(1)
	a.bytes.Release(min(size, a.maxBytes))
}
