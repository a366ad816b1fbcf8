package consumer

import (
	"context"
	"errors"
	"time"
)

// A refused message waits for the dead-letter topic, and every other one for the store.
// So that neither waits for the other, a refused message leaves the common bounds for
// bounds of its own.
//
// These are half of the common ones: Pub/Sub sends no more to a subscription that holds
// MaxOutstandingMessages, whatever they wait for (Transport, Limits), which also bounds
// those that wait for room here.
const asideShare = 2

// asidePatience is how long a refused message waits for room in these bounds before it
// is nacked. A topic that is as fast as usual has made room by then. If it has not, the
// next ones are nacked at once, until a dead letter is confirmed: each that waits here
// takes a place of those that Pub/Sub sends. They come again later, by the
// subscription's retry policy.
const asidePatience = time.Second

var errNoRoomAside = errors.New("the dead-letter topic is slow, and too many messages wait for it")

// stepAside moves a refused message from the common bounds to those of refused ones. If
// these have no room within asidePatience, the message is in neither, and the error says
// so.
func (c *Consumer) stepAside(w *work) error {
	if w.admitted == nil {
		return nil
	}
	w.admitted.release(w.size)
	w.admitted = nil
	room := c.aside.tryAdmit(w.size)
	if !room && !c.asideStuck.Load() {
		ctx, cancel := context.WithTimeout(c.killed, asidePatience)
		defer cancel()
		room = c.aside.admit(ctx, w.size)
		c.asideStuck.Store(!room)
	}
	if !room {
		return errNoRoomAside
	}
	w.admitted = &c.aside
	return nil
}
