package consumer

import (
	"context"
	"errors"

	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// apply applies a batch and settles its messages. It is called with a slot of the
// lane. At the end of a drain it nacks what has no result yet, though a commit may
// be in flight.
func (c *Consumer) apply(l *lane, works []*work) {
	stop := context.AfterFunc(c.killed, func() { c.nackDraining(works...) })
	defer stop()
	inner := make([]*Work, len(works))
	for i, w := range works {
		w.Done = func(result handlers.Result) {
			c.reportUnusual(w, result)
			c.settle(w, result)
		}
		inner[i] = &w.Work
	}
	c.applier.apply(c.killed, inner, l)
}

// reportUnusual reports outcomes that an operator should see. If the message will
// be delivered again, what was applied is reported now, since it will be a
// duplicate then; what was refused is reported with the final result.
func (c *Consumer) reportUnusual(w *work, result handlers.Result) {
	for i, o := range w.Outcomes {
		var panicked *ownership.PanicError
		if errors.As(o.Err, &panicked) {
			c.log.panicked(w, panicked.Value, panicked.Stack)
		}
		committed := o.Kind == ownership.Applied || o.Kind == ownership.Inapplicable
		if committed && o.Displaced != nil {
			c.telemetry.displaced()
			c.log.displaced(w, w.Changes[i], *o.Displaced)
		}
		if o.WouldCount && result.Outcome != handlers.Transient {
			c.telemetry.wouldCount()
			c.log.wouldCount(w, w.Changes[i])
		}
		if m := o.BornMoved; committed && m != nil && m.Time.Before(w.message.PublishTime) {
			c.telemetry.bornMoved()
			c.log.bornMoved(w, w.Changes[i], *m)
		}
		if o.Kind == ownership.Applied && c.backdatedMove(w, w.Changes[i]) {
			c.telemetry.backdatedMove()
			c.log.backdatedMove(w, w.Changes[i])
		}
	}
}

// backdatedMove reports whether the change moves everything that a tenant owns from
// a time on that was long past when it was published: what was created in between,
// and not claimed, has changed hands without its owner's knowledge.
func (c *Consumer) backdatedMove(w *work, change ownership.Change) bool {
	return change.OfLedger() && change.Entry.Type == ownership.Moved && w.message.PublishTime.Sub(change.Entry.Time) > c.opts.MaxClockSkew
}
