package consumer

import (
	"context"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
)

// settlement says what to do with a message.
type settlement int

const (
	nack       settlement = iota // deliver it again: also what an unknown outcome gets
	ack                          // done
	deadLetter                   // published to the dead-letter topic, confirmed; then ack, else nack
)

// settlements is the whole policy (design §5).
var settlements = map[handlers.Outcome]settlement{
	handlers.Applied:      ack,
	handlers.Duplicate:    ack,
	handlers.Inapplicable: ack,
	handlers.Gone:         ack,
	handlers.Refused:      deadLetter,
	handlers.Transient:    nack,
}

// settle ends a message's way through the loop. Only the first call for a
// message counts: at the end of a drain the nack may overtake the result. It
// does not wait for dead letters.
func (c *Consumer) settle(w *work, result handlers.Result) {
	if w.settled.Swap(true) {
		return
	}
	if settlements[result.Outcome] == deadLetter {
		go c.finish(w, result)
		return
	}
	c.finish(w, result)
}

// finish is the one place that acks and nacks.
func (c *Consumer) finish(w *work, result handlers.Result) {
	what := settlements[result.Outcome]
	if what == deadLetter {
		what = ack
		if err := c.bury(w, result.Refusal); err != nil {
			what, result = nack, handlers.Retry(err)
		}
	}
	c.log.settled(w, result) // first: what is acked does not come again to be told of
	if what == ack {
		w.message.Settler.Ack()
	} else {
		w.message.Settler.Nack()
	}
	now := time.Now()
	if w.admitted != nil {
		w.admitted.release(w.size)
	}
	c.progress.settled(now, what == ack)
	c.telemetry.settled(w, result, now)
}

// bury publishes a refused message to the dead-letter topic, and returns once
// the topic has confirmed.
func (c *Consumer) bury(w *work, refusal *events.Refusal) error {
	if err := c.stepAside(w); err != nil {
		return fmt.Errorf("publish dead letter (%w): %w", refusal, err)
	}
	ctx, cancel := context.WithTimeout(c.killed, c.opts.DeadLetterTimeout)
	defer cancel()
	err := c.transport.DeadLetter(ctx, newDeadLetter(w.message, refusal))
	c.telemetry.deadLettered(refusal.Reason, err)
	if err != nil {
		return fmt.Errorf("publish dead letter (%w): %w", refusal, err)
	}
	c.asideStuck.Store(false)
	return nil
}
