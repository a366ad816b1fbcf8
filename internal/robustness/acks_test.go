//go:build proofs

package robustness

import (
	"context"
	"sync"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"

	"github.com/northstar-engines/realtime-registry/internal/judge"
)

// nameAttribute is an attribute of each message that is published, which its dead
// letters keep: its name in the history.
const nameAttribute = "x-robustness"

// acks sees which messages workers acknowledge, and when.
type acks struct {
	history *recorder

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
	if m, ok := req.(*pubsubpb.AcknowledgeRequest); ok {
		a.acknowledged(m.GetAckIds())
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
	}
	return s.ClientStream.SendMsg(m)
}

func (s *seen) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if pulled, ok := m.(*pubsubpb.StreamingPullResponse); ok && err == nil {
		s.acks.delivered(pulled.GetReceivedMessages())
	}
	return err
}

func (a *acks) delivered(messages []*pubsubpb.ReceivedMessage) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range messages {
		if name := m.GetMessage().GetAttributes()[nameAttribute]; name != "" {
			a.names[m.GetAckId()] = name
		}
	}
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
