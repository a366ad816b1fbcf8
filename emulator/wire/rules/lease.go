package rules

import (
	"context"
	"slices"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
)

// subscription knows where the messages of one subscription are: held here, or with
// a subscriber until a deadline.
type subscription struct {
	name       string
	subscriber pubsubpb.SubscriberClient

	mu       sync.Mutex
	deadline time.Duration // of the subscription; zero: not known
	exactly  bool          // exactly-once delivery: the emulator itself judges
	leases   map[string]*lease
	held     []heldMessage
	streams  map[*pullStream]struct{}
	feeders  int
	more     chan struct{} // closed and replaced when something to wait for has changed
}

// lease is a message with a subscriber. After its deadline it is kept for a while,
// so that a late acknowledgement is recognized.
type lease struct {
	until  time.Time
	over   bool
	stream *pullStream // nil: of a Pull
	bytes  int
}

type heldMessage struct {
	*pubsubpb.ReceivedMessage
	deadline time.Duration // how long its lease at the emulator lasts
	since    time.Time     // when that began
}

func newSubscription(name string, subscriber pubsubpb.SubscriberClient) *subscription {
	return &subscription{
		name: name, subscriber: subscriber,
		leases: map[string]*lease{}, streams: map[*pullStream]struct{}{}, more: make(chan struct{}),
	}
}

// signalLocked wakes all goroutines that wait.
func (s *subscription) signalLocked() {
	close(s.more)
	s.more = make(chan struct{})
}

func (s *subscription) ackDeadline(ctx context.Context) (time.Duration, error) {
	s.mu.Lock()
	known := s.deadline
	s.mu.Unlock()
	if known > 0 {
		return known, nil
	}
	got, err := s.subscriber.GetSubscription(ctx, &pubsubpb.GetSubscriptionRequest{Subscription: s.name})
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = time.Duration(got.GetAckDeadlineSeconds()) * time.Second
	s.exactly = got.GetEnableExactlyOnceDelivery()
	return s.deadline, nil
}

// changed forgets the known settings of the subscription.
func (s *subscription) changed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = 0
}

// fed reports whether feeders take the emulator's messages.
func (s *subscription) fed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.held)+s.feeders > 0
}

// lease records that messages were pulled just now.
func (s *subscription) lease(messages []*pubsubpb.ReceivedMessage, deadline time.Duration, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range messages {
		s.leaseOneLocked(m, deadline, now, nil)
	}
}

// leaseOneLocked begins the lease of a message that goes to a stream, or to a pull
// if stream is nil.
func (s *subscription) leaseOneLocked(m *pubsubpb.ReceivedMessage, deadline time.Duration, now time.Time, stream *pullStream) {
	l := &lease{until: now.Add(deadline), stream: stream, bytes: messageSize(m.GetMessage())}
	s.leases[m.GetAckId()] = l
	if stream != nil {
		stream.messages++
		stream.bytes += l.bytes
	}
}

// messageSize returns what counts against max_outstanding_bytes.
func messageSize(m *pubsubpb.PubsubMessage) int { return len(m.GetData()) }

// acknowledge takes acknowledgements, and returns those that count. One that
// arrives after its deadline is void, and the message is delivered again: "If a
// subscriber acknowledges a message after its deadline … the message may be
// redelivered" (pubsub.proto, Acknowledge: "Acknowledging a message whose ack
// deadline has expired may succeed, but such a message may be redelivered later").
// The emulator takes them all; the rules assume the worse of what may happen. They
// pass on acknowledgements of messages that were not delivered here.
func (s *subscription) acknowledge(ids []string, now time.Time) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		l := s.leases[id]
		if l == nil {
			return false
		}
		late := l.over || now.After(l.until)
		if late && !s.exactly {
			return true
		}
		s.freeLocked(l)
		delete(s.leases, id)
		return false
	})
}

// modify changes deadlines that are not over; zero returns the message.
func (s *subscription) modify(ids []string, deadline time.Duration, now time.Time) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		l := s.leases[id]
		switch {
		case l == nil || s.exactly:
			return false
		case l.over || now.After(l.until):
			return true
		case deadline == 0:
			s.freeLocked(l)
			delete(s.leases, id)
		default:
			l.until = now.Add(deadline)
		}
		return false
	})
}

// freeLocked makes room in the stream that a message went to.
func (s *subscription) freeLocked(l *lease) {
	if l.over || l.stream == nil {
		return
	}
	l.stream.messages--
	l.stream.bytes -= l.bytes
	s.signalLocked()
}

// expire ends the leases whose deadline is over, and forgets those that ended
// long ago.
func (s *subscription) expire(now time.Time) {
	const remembered = 10 * time.Minute
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, l := range s.leases {
		switch {
		case !l.over && now.After(l.until):
			s.freeLocked(l)
			l.over = true
		case now.After(l.until.Add(remembered)):
			delete(s.leases, id)
		}
	}
}

// forget drops what is held and what is leased, after a seek or a deletion.
func (s *subscription) forget() {
	s.returnHeld(s.takeHeld())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = 0
	for id, l := range s.leases {
		s.freeLocked(l)
		delete(s.leases, id)
	}
}
