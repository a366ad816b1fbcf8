package rules

import (
	"context"

	"google.golang.org/grpc"

	"github.com/northstar-engines/realtime-registry/emulator/wire"
)

// crowd holds one connection to the calls that Google's front ends carry at
// once, open streams among them: further ones wait until one has ended, as
// HTTP/2 has it. In a proxy its server does so; see [wire.MaxConcurrentCalls].
type crowd chan struct{}

func newCrowd() crowd { return make(crowd, wire.MaxConcurrentCalls) }

func (c crowd) enter(ctx context.Context) error {
	select {
	case c <- struct{}{}:
		return nil
	case <-ctx.Done():
		return statusOf(ctx)
	}
}

func (c crowd) leave() { <-c }

func (c crowd) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if err := c.enter(ctx); err != nil {
		return err
	}
	defer c.leave()
	return invoke(ctx, method, req, reply, cc, opts...)
}

func (c crowd) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if err := c.enter(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(ctx, c.leave)
	inner, err := open(ctx, desc, cc, method, opts...)
	if err != nil {
		cancel()
		return nil, err
	}
	return &endingStream{inner, cancel}, nil
}

// endingStream cancels its context when it is over, which is when gRPC lets go
// of it.
type endingStream struct {
	grpc.ClientStream
	cancel context.CancelFunc
}

func (s *endingStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err != nil {
		s.cancel()
	}
	return err
}
