package rules

import (
	"context"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
)

// mostFeeders is the largest number of the emulator's streams from which one
// subscription is read.
const mostFeeders = 16

// feed opens one more stream to the emulator if a stream has room for more than
// what came, and that came in full responses: the emulator sends 100 messages each
// 50 ms on a stream (measured), the service up to 10 MB/s
// (https://cloud.google.com/pubsub/quotas#resource_limits), so a subscriber with
// few streams would be slowed down by the emulator alone.
//
// It stays open as long as the rules do: the emulator goes on sending to a stream
// that has ended (measured), so that messages would be out of sight for their
// lease. Messages that come when no client subscribes are held.
func (s *subscription) feed(like *pullStream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	starved := like.mostMessages <= 0 || like.messages+len(s.held) < like.mostMessages
	if len(s.held) < mostAtOnce || !starved || len(s.streams)+s.feeders >= mostFeeders {
		return
	}
	s.feeders++
	go s.feedFor(like.deadline)
}

// feedFor reads one more stream, until the connection or the subscription ends.
func (s *subscription) feedFor(deadline time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.feeders--
	}()
	stream, err := s.subscriber.StreamingPull(ctx)
	if err != nil {
		return
	}
	if stream.Send(&pubsubpb.StreamingPullRequest{Subscription: s.name, StreamAckDeadlineSeconds: int32(deadline / time.Second)}) != nil {
		return
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return
		}
		s.hold(m.GetReceivedMessages(), deadline)
	}
}

// pullHeld is Pull while feeders take all messages. Like the emulator, it waits a
// little for the first message.
func (s *subscription) pullHeld(ctx context.Context, most int, deadline time.Duration) []*pubsubpb.ReceivedMessage {
	const patient = 3 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	for {
		s.mu.Lock()
		messages, begun := s.takeSomeLocked(most, deadline, nil)
		more := s.more
		s.mu.Unlock()
		if len(messages) > 0 {
			s.say(begun, deadline)
			return messages
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil
		}
	}
}
