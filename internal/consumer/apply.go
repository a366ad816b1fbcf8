package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// apply gives a batch to the store until every message of it has a result that
// is not transient, or the retry budget is used up. It is called with a slot,
// which it holds during attempts and not between them, so that a batch that
// fails does not hold up others.
func (c *Consumer) apply(l *lane, works []*work) {
	stop := context.AfterFunc(c.killed, func() {
		for _, w := range works {
			c.settle(w, handlers.Retry(errDraining))
		}
	})
	defer stop()

	rest, slot := works, true
	attempt := func() error {
		if !slot && !c.takeSlot(l) {
			return backoff.Permanent(errDraining)
		}
		slot = false
		rest = c.attempt(rest)
		l.free()
		if len(rest) == 0 {
			return nil
		}
		c.telemetry.retried()
		return handlers.Reduce(rest[0].outcomes).Err
	}
	if backoff.Retry(attempt, backoff.WithContext(c.retries(), c.killed)) == nil {
		return
	}
	for _, w := range rest {
		result := handlers.Reduce(w.outcomes)
		c.reportUnusual(w, result)
		c.settle(w, result)
	}
}

// retries is the backoff between attempts: 50 ms at first, doubled each time up
// to 2 s, each drawn from half to one and a half of that.
func (c *Consumer) retries() backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMultiplier(2),
		backoff.WithMaxInterval(2*time.Second),
		backoff.WithMaxElapsedTime(c.opts.RetryBudget),
	)
}

func (c *Consumer) takeSlot(l *lane) bool {
	if c.killed.Err() != nil {
		return false
	}
	select {
	case l.slots <- struct{}{}:
		return true
	case <-c.killed.Done():
		return false
	}
}

// attempt applies what has no final outcome yet, settles what is done, and
// returns the rest, to be tried again. What this version does not understand is
// settled too, with a nack: another worker may understand it.
func (c *Consumer) attempt(works []*work) (rest []*work) {
	if refusal := c.commit(works); refusal != nil {
		if len(works) == 1 {
			c.settle(works[0], handlers.Refuse(refusal))
			return nil
		}
		for _, w := range works { // one of them makes the store panic: alone, only that one will
			rest = append(rest, c.attempt([]*work{w})...)
		}
		return rest
	}
	for _, w := range works {
		result := handlers.Reduce(w.outcomes)
		if result.Verdict == handlers.Transient && !errors.Is(result.Err, registry.ErrTooNew) {
			rest = append(rest, w)
			continue
		}
		c.reportUnusual(w, result)
		c.settle(w, result)
	}
	return rest
}

// commit is one call of Store.Apply with every change that has no final outcome.
// Its deadline is its own: a shutdown does not cancel a commit in flight. It
// returns a refusal if the store panicked.
func (c *Consumer) commit(works []*work) (refusal *events.Refusal) {
	changes, slots := open(works)
	if len(changes) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.opts.CommitTimeout)
	defer cancel()
	ctx, done := c.telemetry.applying(ctx, works, len(changes))
	defer done()
	defer func() {
		if p := recover(); p != nil {
			refusal = c.panicked(works[0], p)
		}
	}()
	outcomes := c.store.Apply(ctx, changes)
	for i, slot := range slots {
		if len(outcomes) != len(changes) {
			*slot = ownership.Outcome{Kind: ownership.Failed, Err: fmt.Errorf(
				"%w: the store gave %d outcomes for %d changes", registry.ErrUnavailable, len(outcomes), len(changes))}
			continue
		}
		*slot = outcomes[i]
	}
	return nil
}

// open returns the changes that have no final outcome, and where the outcome of
// each goes.
func open(works []*work) (changes []ownership.Change, slots []*ownership.Outcome) {
	for _, w := range works {
		for i, change := range w.changes {
			if !final(w.outcomes[i]) {
				changes = append(changes, change)
				slots = append(slots, &w.outcomes[i])
			}
		}
	}
	return changes, slots
}

// final reports whether trying again could change the outcome.
func final(o ownership.Outcome) bool {
	return handlers.Reduce([]ownership.Outcome{o}).Verdict != handlers.Transient
}

// reportUnusual tells of what was applied, or refused, and an operator should
// see all the same. Of a message that comes again, what was applied is told of
// now, since it will be a duplicate then, and what was refused with the result.
func (c *Consumer) reportUnusual(w *work, result handlers.Result) {
	for i, o := range w.outcomes {
		var panicked *ownership.PanicError
		if errors.As(o.Err, &panicked) {
			c.log.panicked(w, panicked.Value, panicked.Stack)
		}
		committed := o.Kind == ownership.Applied || o.Kind == ownership.Inapplicable
		if committed && o.Displaced != nil {
			c.telemetry.displaced()
			c.log.displaced(w, w.changes[i], *o.Displaced)
		}
		if o.WouldCount && result.Verdict != handlers.Transient {
			c.telemetry.wouldCount()
			c.log.wouldCount(w, w.changes[i])
		}
		if m := o.BornMoved; committed && m != nil && m.Time.Before(w.message.PublishTime) {
			c.telemetry.bornMoved()
			c.log.bornMoved(w, w.changes[i], *m)
		}
		if o.Kind == ownership.Applied && c.backdatedMove(w, w.changes[i]) {
			c.telemetry.backdatedMove()
			c.log.backdatedMove(w, w.changes[i])
		}
	}
}

// backdatedMove reports whether the change moves everything that a tenant owns
// from a time on that was long past when it was published: what was created, or
// claimed by nobody, in between has changed hands behind its owner's back.
func (c *Consumer) backdatedMove(w *work, change ownership.Change) bool {
	return change.OfLedger() && change.Entry.Type == ownership.Moved && w.message.PublishTime.Sub(change.Entry.Time) > c.opts.MaxClockSkew
}
