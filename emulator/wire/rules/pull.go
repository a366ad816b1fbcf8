package rules

import (
	"context"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
)

// pullStream is one StreamingPull. It respects the bounds that the subscriber asked
// for: "If the value is positive, then the server will not have more than this many
// messages (bytes) outstanding … the server stops sending more messages until …
// some have been acked or nacked" (pubsub.proto, max_outstanding_messages and
// max_outstanding_bytes of StreamingPullRequest). The emulator does not.
//
// It answers the pings of clients of protocol_version 1. Such a client considers a
// stream broken 15 s after a ping without an answer, and opens another one
// (https://github.com/googleapis/google-cloud-java/issues/14348). The emulator
// answers them from release 0.8.32 on.
//
// If the subscriber ends it, the emulator is asked to end it too, and is read to
// that end. If it were broken off, the emulator would keep the messages in transit,
// and those that it goes on sending, until their leases end: of 3,000 messages
// several hundred were out of reach (measured). The service gives to others what it
// has not sent.
type pullStream struct {
	grpc.ClientStream
	rules  *PubSub
	ctx    context.Context // the subscriber's
	cancel context.CancelFunc
	from   *subscription // since the first request
	asked  chan struct{} // closed by the function ask
	ask    func()        // called once from is known, or will stay nil

	sending sync.Mutex  // gRPC takes one at a time
	unused  func() bool // ends the watching of a stream without requests; from the first request on, leave does
	stop    context.CancelFunc

	// Guarded by from.mu.
	messages, bytes int // outstanding
	mostMessages    int // zero: no bound
	mostBytes       int
	deadline        time.Duration
	pings           bool                              // the client supports them
	answers         []*pubsubpb.StreamingPullResponse // confirmations and answers to pings: without messages
	properties      *pubsubpb.StreamingPullResponse_SubscriptionProperties
	ended           error
}

// SendMsg implements grpc.ClientStream.
func (s *pullStream) SendMsg(message any) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	if s.ctx.Err() != nil {
		return io.EOF // RecvMsg returns why
	}
	m := message.(*pubsubpb.StreamingPullRequest)
	if s.from == nil {
		s.begin(m)
		return s.ClientStream.SendMsg(m)
	}
	return s.ClientStream.SendMsg(s.settle(m))
}

func (s *pullStream) begin(m *pubsubpb.StreamingPullRequest) {
	from := s.rules.subscription(m.GetSubscription())
	from.mu.Lock()
	defer from.mu.Unlock()
	s.from = from
	defer s.ask()
	s.mostMessages, s.mostBytes = int(m.GetMaxOutstandingMessages()), int(m.GetMaxOutstandingBytes())
	s.deadline = time.Duration(m.GetStreamAckDeadlineSeconds()) * time.Second
	s.pings = m.GetProtocolVersion() >= 1
	from.streams[s] = struct{}{}
	s.unused()
	context.AfterFunc(s.ctx, s.leave)
	go s.receive()
}

// settle applies the acknowledgements and deadlines of a later request.
func (s *pullStream) settle(m *pubsubpb.StreamingPullRequest) *pubsubpb.StreamingPullRequest {
	now := time.Now()
	if seconds := m.GetStreamAckDeadlineSeconds(); seconds > 0 {
		s.from.mu.Lock()
		s.deadline = time.Duration(seconds) * time.Second
		s.from.mu.Unlock()
	}
	if len(m.GetAckIds())+len(m.GetModifyDeadlineAckIds()) == 0 {
		s.answerPing()
		return m
	}
	passed := proto.Clone(m).(*pubsubpb.StreamingPullRequest)
	passed.AckIds = s.from.acknowledge(m.GetAckIds(), now)
	passed.ModifyDeadlineAckIds, passed.ModifyDeadlineSeconds = nil, nil
	for i, id := range m.GetModifyDeadlineAckIds() {
		seconds := m.GetModifyDeadlineSeconds()[i]
		if len(s.from.modify([]string{id}, time.Duration(seconds)*time.Second, now)) == 1 {
			passed.ModifyDeadlineAckIds = append(passed.ModifyDeadlineAckIds, id)
			passed.ModifyDeadlineSeconds = append(passed.ModifyDeadlineSeconds, seconds)
		}
	}
	return passed
}

func (s *pullStream) answerPing() {
	s.from.mu.Lock()
	defer s.from.mu.Unlock()
	if s.pings {
		s.answers = append(s.answers, &pubsubpb.StreamingPullResponse{SubscriptionProperties: s.properties})
		s.from.signalLocked()
	}
}

// receive takes in what the emulator sends, until the stream ends.
func (s *pullStream) receive() {
	for {
		m := &pubsubpb.StreamingPullResponse{}
		err := s.ClientStream.RecvMsg(m)
		if err == nil && len(m.GetReceivedMessages()) > 0 {
			s.from.hold(m.GetReceivedMessages(), s.leaseOfStream())
			s.from.feed(s)
			s.from.returnUnlessSubscribed()
			m.ReceivedMessages = nil
		}
		s.from.mu.Lock()
		if p := m.GetSubscriptionProperties(); p != nil {
			s.properties, s.from.exactly = p, p.GetExactlyOnceDeliveryEnabled()
		}
		if confirms(m) {
			s.answers = append(s.answers, m)
			s.from.signalLocked()
		}
		if err != nil {
			s.ended = err
			s.from.signalLocked()
		}
		s.from.mu.Unlock()
		if err != nil {
			s.stop()
			return
		}
	}
}

func (s *pullStream) leaseOfStream() time.Duration {
	s.from.mu.Lock()
	defer s.from.mu.Unlock()
	return s.deadline
}

// Header implements grpc.ClientStream. The emulator sends its header only with the
// first message: a proxy that waited for it would hold back what is answered here.
func (s *pullStream) Header() (metadata.MD, error) { return nil, nil }

// Trailer implements grpc.ClientStream. A subscriber who has left before has no use
// for the emulator's trailer.
func (s *pullStream) Trailer() metadata.MD { return nil }

// RecvMsg implements grpc.ClientStream. A client may call it before it sends.
func (s *pullStream) RecvMsg(message any) error {
	select {
	case <-s.asked:
	case <-s.ctx.Done():
		return statusOf(s.ctx)
	}
	if s.from == nil {
		return s.ClientStream.RecvMsg(message)
	}
	m := message.(*pubsubpb.StreamingPullResponse)
	proto.Reset(m)
	for {
		s.from.mu.Lock()
		some, begun, err := s.nextLocked(m)
		more := s.from.more
		s.from.mu.Unlock()
		if err != nil {
			s.cancel()
			return err
		}
		if len(begun) > 0 {
			s.from.say(begun, s.leaseOfStream())
		}
		if some {
			return nil
		}
		select {
		case <-more:
		case <-s.ctx.Done():
			return statusOf(s.ctx)
		}
	}
}

// confirms reports whether a response answers acknowledgements, with
// exactly-once delivery.
func confirms(m *pubsubpb.StreamingPullResponse) bool {
	return m.GetAcknowledgeConfirmation() != nil || m.GetModifyAckDeadlineConfirmation() != nil
}

// mostAtOnce is the largest number of messages in one response, as in the emulator.
const mostAtOnce = 100

// nextLocked fills a response with what there is, and reports whether there is
// anything. It returns the ids of messages that were held for so long that their
// lease has to begin anew. from.mu is held.
func (s *pullStream) nextLocked(m *pubsubpb.StreamingPullResponse) (some bool, begun []string, err error) {
	if s.ended != nil {
		return false, nil, s.ended
	}
	if len(s.answers) > 0 {
		proto.Merge(m, s.answers[0])
		s.answers = s.answers[1:]
		return true, nil, nil
	}
	m.ReceivedMessages, begun = s.from.takeSomeLocked(mostAtOnce, s.deadline, s)
	m.SubscriptionProperties = s.properties
	return len(m.ReceivedMessages) > 0, begun, nil
}

// roomLocked reports whether one more message may be outstanding. from.mu is held.
func (s *pullStream) roomLocked() bool {
	return (s.mostMessages <= 0 || s.messages < s.mostMessages) && (s.mostBytes <= 0 || s.bytes < s.mostBytes)
}

// CloseSend implements grpc.ClientStream.
func (s *pullStream) CloseSend() error {
	s.sending.Lock()
	defer s.sending.Unlock()
	s.ask()
	return s.ClientStream.CloseSend()
}

// leave ends the stream for its subscription. If no other stream is left, it
// returns what is held, and what the emulator still sends.
func (s *pullStream) leave() {
	const patient = 30 * time.Second // the emulator takes 60 ms (measured)
	time.AfterFunc(patient, s.stop)
	s.from.mu.Lock()
	delete(s.from.streams, s)
	s.from.signalLocked()
	s.from.mu.Unlock()
	s.from.returnUnlessSubscribed()
	_ = s.CloseSend()
}
