package consumer

import "context"

// lane is a queue with appliers of its own. There are two: one for changes of
// resources, and one for those of the ledger, all of which write one document.
// What one lane waits for, the other does not.
type lane struct {
	queue chan *work    // decoded
	slots chan struct{} // one token per batch that is being applied
	freed chan struct{} // a slot was given back
}

func newLane(queue, appliers int) *lane {
	return &lane{
		queue: make(chan *work, queue),
		slots: make(chan struct{}, appliers),
		freed: make(chan struct{}, 1),
	}
}

// take waits for a slot, and reports whether it got one before ctx ended. A nil
// lane has slots for all.
func (l *lane) take(ctx context.Context) bool {
	if l == nil || ctx.Err() != nil {
		return ctx.Err() == nil
	}
	select {
	case l.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// free gives the slot of an applier back.
func (l *lane) free() {
	if l == nil {
		return
	}
	<-l.slots
	select {
	case l.freed <- struct{}{}:
	default:
	}
}

// route says which way decoded work goes. Work for the ledger makes room for
// others, as long as the ledger's own bounds allow it: a backlog of it fills the
// bounds of all only if it is greater than them.
func (c *Consumer) route(w *work) *lane {
	if !w.OfLedger() {
		return c.resources
	}
	if c.ledgerAdmission.tryAdmit(w.size) {
		c.admission.release(w.size)
		w.admitted = &c.ledgerAdmission
	}
	return c.ledger
}
