package rules

import (
	"context"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
)

// Messages that the emulator sends beyond the room of the streams are held here,
// for the first stream of the subscription that has room. The service would have
// kept them. Meanwhile their leases at the emulator are extended, since for the
// service they are not delivered.

// hold takes in messages of the emulator.
func (s *subscription) hold(messages []*pubsubpb.ReceivedMessage, deadline time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, m := range messages {
		s.held = append(s.held, heldMessage{m, deadline, now})
	}
	s.signalLocked()
}

// returnUnlessSubscribed returns what is held if there is no subscriber.
func (s *subscription) returnUnlessSubscribed() {
	s.mu.Lock()
	subscribed := len(s.streams)+s.feeders > 0
	s.mu.Unlock()
	if !subscribed {
		s.returnHeld(s.takeHeld())
	}
}

// takeHeld takes everything that is held.
func (s *subscription) takeHeld() []heldMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.held
	s.held = nil
	return held
}

// takeSomeLocked hands over messages that are held, to a stream as far as it has
// room, and returns the ids of those whose lease at the emulator has to begin anew.
func (s *subscription) takeSomeLocked(most int, deadline time.Duration, to *pullStream) (messages []*pubsubpb.ReceivedMessage, begun []string) {
	now := time.Now()
	for len(s.held) > 0 && len(messages) < most && (to == nil || to.roomLocked()) {
		h := s.held[0]
		s.held = s.held[1:]
		if h.deadline != deadline || now.Sub(h.since) > deadline/10 {
			begun = append(begun, h.GetAckId())
		}
		s.leaseOneLocked(h.ReceivedMessage, deadline, now, to)
		messages = append(messages, h.ReceivedMessage)
	}
	return messages, begun
}

// extendHeld extends the leases that are half over.
func (s *subscription) extendHeld(now time.Time) {
	s.mu.Lock()
	ids := map[time.Duration][]string{}
	for i := range s.held {
		h := &s.held[i]
		if now.Sub(h.since) > h.deadline/2 {
			h.since = now
			ids[h.deadline] = append(ids[h.deadline], h.GetAckId())
		}
	}
	s.mu.Unlock()
	for deadline, ids := range ids {
		go s.say(ids, deadline) // concurrently: the keeper has other subscriptions to look after
	}
}

// returnHeld makes messages that are held available to others, at once.
func (s *subscription) returnHeld(held []heldMessage) {
	ids := make([]string, len(held))
	for i, h := range held {
		ids[i] = h.GetAckId()
	}
	s.say(ids, 0)
}

// say sends deadlines to the emulator. Failures do not matter: then the emulator is
// down.
func (s *subscription) say(ids []string, deadline time.Duration) {
	const (
		atOnce  = 1000
		patient = 5 * time.Second
	)
	for len(ids) > 0 {
		n := min(len(ids), atOnce)
		ctx, cancel := context.WithTimeout(context.Background(), patient)
		_, err := s.subscriber.ModifyAckDeadline(ctx, &pubsubpb.ModifyAckDeadlineRequest{
			Subscription: s.name, AckIds: ids[:n], AckDeadlineSeconds: int32(deadline / time.Second),
		})
		cancel()
		if err != nil {
			return
		}
		ids = ids[n:]
	}
}
