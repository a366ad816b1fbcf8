package rules

import (
	"context"
	"io"
	"sync"

	"google.golang.org/grpc"
)

// checkedStream checks each message to the server, and ends if one is refused.
type checkedStream struct {
	grpc.ClientStream
	check         func(message any) error
	cancel        context.CancelFunc
	clientStreams bool

	mu      sync.Mutex
	refused error
}

func openChecked(ctx context.Context, check func(any) error, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (*checkedStream, error) {
	ctx, cancel := context.WithCancel(ctx)
	inner, err := open(ctx, desc, cc, method, opts...)
	if err != nil {
		cancel()
		return nil, err
	}
	return &checkedStream{ClientStream: inner, check: check, cancel: cancel, clientStreams: desc.ClientStreams}, nil
}

// refuse ends the stream with an error.
func (s *checkedStream) refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused == nil {
		s.refused = err
	}
	s.cancel()
}

func (s *checkedStream) instead(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.refused != nil {
		return s.refused
	}
	return err
}

// SendMsg implements grpc.ClientStream. As with every stream, RecvMsg returns why
// it ended.
func (s *checkedStream) SendMsg(m any) error {
	if err := s.check(m); err != nil {
		s.refuse(err)
		if !s.clientStreams {
			return nil
		}
		return io.EOF
	}
	return s.ClientStream.SendMsg(m)
}

// RecvMsg implements grpc.ClientStream.
func (s *checkedStream) RecvMsg(m any) error {
	err := s.instead(s.ClientStream.RecvMsg(m))
	if err != nil {
		s.cancel()
	}
	return err
}
