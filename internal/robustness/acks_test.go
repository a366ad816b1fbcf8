//go:build proofs

package robustness

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"

	"github.com/northstar-engines/realtime-registry/internal/judge"
)

// nameAttribute is an attribute of each message that is published, which its dead
// letters keep: its name in the history.
const nameAttribute = "x-robustness"

// acks sees which messages workers acknowledge, and when. It makes ids to acknowledge
// with that are never used again, as the service's are: an emulator that is started
// again counts from the first.
type acks struct {
	history *recorder
	start   atomic.Int64 // of the emulator: how many there were

	mu    sync.Mutex
	names map[string]string // by the id to acknowledge with
	acked map[string]bool   // by name
}

func newAcks(history *recorder) *acks {
	return &acks{history: history, names: map[string]string{}, acked: map[string]bool{}}
}

// dialOptions let it see a connection's calls, before anything befalls them.
func (a *acks) dialOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithChainUnaryInterceptor(a.unary), grpc.WithChainStreamInterceptor(a.stream)}
}

func (a *acks) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	switch m := req.(type) {
	case *pubsubpb.AcknowledgeRequest:
		a.acknowledged(m.GetAckIds())
		if m.AckIds = a.known(m.GetAckIds()); len(m.AckIds) == 0 {
			return nil
		}
	case *pubsubpb.ModifyAckDeadlineRequest:
		if m.AckIds = a.known(m.GetAckIds()); len(m.AckIds) == 0 {
			return nil
		}
	}
	return invoke(ctx, method, req, reply, cc, opts...)
}

func (a *acks) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	inner, err := open(ctx, desc, cc, method, opts...)
	if err != nil {
		return nil, err
	}
	return &seen{inner, a}, nil
}

type seen struct {
	grpc.ClientStream
	acks *acks
}

func (s *seen) SendMsg(m any) error {
	if pull, ok := m.(*pubsubpb.StreamingPullRequest); ok {
		s.acks.acknowledged(pull.GetAckIds())
		pull.AckIds = s.acks.known(pull.GetAckIds())
		s.acks.knownDeadlines(pull)
	}
	return s.ClientStream.SendMsg(m)
}

func (s *seen) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if pulled, ok := m.(*pubsubpb.StreamingPullResponse); ok && err == nil {
		pulled.ReceivedMessages = s.acks.delivered(pulled.GetReceivedMessages())
	}
	return err
}

// delivered returns messages with ids of its own making, and notes whose they are.
func (a *acks) delivered(messages []*pubsubpb.ReceivedMessage) (delivered []*pubsubpb.ReceivedMessage) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range messages {
		id := fmt.Sprint(a.start.Load(), "/", m.GetAckId())
		if name := m.GetMessage().GetAttributes()[nameAttribute]; name != "" {
			a.names[id] = name
		}
		delivered = append(delivered, &pubsubpb.ReceivedMessage{AckId: id, Message: m.GetMessage(), DeliveryAttempt: m.GetDeliveryAttempt()})
	}
	return delivered
}

// restarted is called when the emulator has been started again.
func (a *acks) restarted() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.start.Add(1)
	clear(a.names)
}

// known returns the emulator's ids of those that it has given.
func (a *acks) known(ids []string) (known []string) {
	now := strconv.FormatInt(a.start.Load(), 10)
	for _, id := range ids {
		if start, id, _ := strings.Cut(id, "/"); start == now {
			known = append(known, id)
		}
	}
	return known
}

func (a *acks) knownDeadlines(pull *pubsubpb.StreamingPullRequest) {
	var ids []string
	var seconds []int32
	for i, id := range pull.GetModifyDeadlineAckIds() {
		if known := a.known([]string{id}); len(known) > 0 {
			ids, seconds = append(ids, known...), append(seconds, pull.GetModifyDeadlineSeconds()[i])
		}
	}
	pull.ModifyDeadlineAckIds, pull.ModifyDeadlineSeconds = ids, seconds
}

func (a *acks) acknowledged(ids []string) {
	at := now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range ids {
		name := a.names[id]
		delete(a.names, id)
		if name != "" && !a.acked[name] {
			a.acked[name] = true
			a.history.record(judge.Record{Type: judge.Acknowledged, At: at, Name: name})
		}
	}
}

// count returns how many messages have been acknowledged.
func (a *acks) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.acked)
}

// left returns how many of the messages have not been acknowledged.
func (a *acks) left(names []string) (left []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, name := range names {
		if !a.acked[name] {
			left = append(left, name)
		}
	}
	return left
}
