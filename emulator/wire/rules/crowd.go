package rules

import (
	"context"
	"sync"

	"google.golang.org/grpc"

	"github.com/northstar-engines/realtime-registry/emulator/wire"
)

// crowds hold each connection to the number of calls that Google's front ends carry
// at once on one, open streams among them. Further calls wait until one has ended,
// as in HTTP/2. A proxy's server does so by itself; see [wire.MaxConcurrentCalls].
type crowds struct{ byConnection sync.Map }

// crowd is the calls of one connection.
type crowd chan struct{}

func (c *crowds) of(cc *grpc.ClientConn) crowd {
	if known, ok := c.byConnection.Load(cc); ok {
		return known.(crowd)
	}
	one, _ := c.byConnection.LoadOrStore(cc, make(crowd, wire.MaxConcurrentCalls))
	return one.(crowd)
}

func (c crowd) enter(ctx context.Context) error {
	select {
	case c <- struct{}{}:
		return nil
	case <-ctx.Done():
		return statusOf(ctx)
	}
}

func (c crowd) leave() { <-c }

func (c *crowds) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	one := c.of(cc)
	if err := one.enter(ctx); err != nil {
		return err
	}
	defer one.leave()
	return invoke(ctx, method, req, reply, cc, opts...)
}

func (c *crowds) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	one := c.of(cc)
	if err := one.enter(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(ctx, one.leave)
	inner, err := open(ctx, desc, cc, method, opts...)
	if err != nil {
		cancel()
		return nil, err
	}
	return &endingStream{inner, cancel}, nil
}

// endingStream cancels its context when it is over, which makes gRPC release it.
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
