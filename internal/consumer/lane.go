package consumer

import "context"

// lane is a queue with appliers of its own. There are two: one for changes of
// resources, and one for those of the ledger, which all write one document. Neither
// waits for the other.
type lane struct {
	queue chan *work    // decoded
	slots chan struct{} // one token per batch that is being applied
	freed chan struct{} // a slot was released
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

// free releases the slot of an applier.
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

// route returns the lane for decoded work. Work for the ledger leaves the common
// bounds as long as the ledger's own bounds have room for it: so a backlog of it
// fills the common bounds only if it exceeds its own.
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
