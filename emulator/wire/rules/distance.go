package rules

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// distance is the duration of a round trip to the service, half of it in each
// direction. Messages in transit keep their delay when the distance changes.
type distance struct{ roundTrip atomic.Int64 }

func (d *distance) half() time.Duration { return time.Duration(d.roundTrip.Load()) / 2 }

func (d *distance) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	half := d.half()
	if err := sleep(ctx, half); err != nil {
		return err
	}
	answer := invoke(ctx, method, req, reply, cc, opts...)
	if err := sleep(ctx, half); err != nil {
		return err
	}
	return answer
}

func (d *distance) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	half := d.half()
	if half == 0 {
		return open(ctx, desc, cc, method, opts...)
	}
	ctx, cancel := context.WithCancel(ctx)
	inner, err := open(ctx, desc, cc, method, opts...)
	if err != nil {
		cancel()
		return nil, err
	}
	s := &farStream{
		ClientStream: inner, ctx: ctx, cancel: cancel, half: half, clientStreams: desc.ClientStreams,
		out: make(chan parcel, inFlight), in: make(chan parcel, inFlight),
	}
	go s.send()
	return s, nil
}

// inFlight bounds the messages in transit in one direction; a sender that is
// further ahead waits, as with a full window.
const inFlight = 256

// parcel is a message in transit, or the end of its direction.
type parcel struct {
	message any // nil: the end
	err     error
	due     time.Time
}

// farStream delays messages without holding up those behind them.
type farStream struct {
	grpc.ClientStream
	ctx           context.Context
	cancel        context.CancelFunc
	half          time.Duration
	clientStreams bool
	out, in       chan parcel
	reading       bool
	ended         error // of reading; io.EOF is a good end
}

// SendMsg implements grpc.ClientStream. RecvMsg returns the error, if any.
func (s *farStream) SendMsg(m any) error {
	if s.put(parcel{message: m}) || !s.clientStreams {
		return nil
	}
	return io.EOF
}

// CloseSend implements grpc.ClientStream.
func (s *farStream) CloseSend() error {
	s.put(parcel{})
	return nil
}

func (s *farStream) put(p parcel) bool {
	p.due = time.Now().Add(s.half)
	select {
	case s.out <- p:
		return true
	case <-s.ctx.Done():
		return false
	}
}

func (s *farStream) send() {
	for {
		select {
		case p := <-s.out:
			if sleepUntil(s.ctx, p.due) != nil {
				return
			}
			if p.message == nil {
				_ = s.ClientStream.CloseSend()
			} else if s.ClientStream.SendMsg(p.message) != nil {
				return // RecvMsg says why
			}
		case <-s.ctx.Done():
			return
		}
	}
}

// RecvMsg implements grpc.ClientStream. The first call determines the type of the
// messages.
func (s *farStream) RecvMsg(m any) error {
	if s.ended != nil {
		return s.ended
	}
	if !s.reading {
		s.reading = true
		go s.receive(m.(proto.Message).ProtoReflect().Type())
	}
	p := s.next()
	if p.err != nil {
		s.ended = p.err
		s.cancel()
		return p.err
	}
	transfer(m.(proto.Message), p.message.(proto.Message))
	return nil
}

func (s *farStream) next() parcel {
	select {
	case p := <-s.in:
		if err := sleepUntil(s.ctx, p.due); err != nil && p.err == nil {
			p.err = err
		}
		return p
	case <-s.ctx.Done():
		return parcel{err: statusOf(s.ctx)}
	}
}

func (s *farStream) receive(kind protoreflect.MessageType) {
	for {
		m := kind.New().Interface()
		err := s.ClientStream.RecvMsg(m)
		select {
		case s.in <- parcel{message: m, err: err, due: time.Now().Add(s.half)}:
		case <-s.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// transfer moves a message's content into another one; nested messages are shared
// from then on.
func transfer(to, from proto.Message) {
	proto.Reset(to)
	from.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		to.ProtoReflect().Set(field, value)
		return true
	})
}

func sleepUntil(ctx context.Context, due time.Time) error { return sleep(ctx, time.Until(due)) }

// sleep waits for d. It returns early, with a status, if the call ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return statusOf(ctx)
	}
}

func statusOf(ctx context.Context) error { return status.FromContextError(ctx.Err()).Err() }
