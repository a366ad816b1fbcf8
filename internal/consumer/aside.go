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
// is nacked. A topic that is as fast as usual has made room by then. A slow one gets the
// message again later, though without a retry policy Pub/Sub delivers it at once.
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
	ctx, cancel := context.WithTimeout(c.killed, asidePatience)
	defer cancel()
	if !c.aside.admit(ctx, w.size) {
		return errNoRoomAside
	}
	w.admitted = &c.aside
	return nil
}
