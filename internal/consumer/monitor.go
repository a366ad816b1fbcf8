package consumer

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// A Monitor sees the calls between a Pub/Sub client and the service, so that PubSub
// knows what the client does not report: it reopens streams for ever, and silently
// drops acknowledgements that fail. It belongs to one client
// (PubSubOptions.ClientOptions puts it there) and to one PubSub.
type Monitor struct {
	contact atomic.Pointer[contact] // nil until a PubSub has it
}

// NewMonitor returns a monitor for PubSubOptions.
func NewMonitor() *Monitor { return &Monitor{} }

func (m *Monitor) dialOption() grpc.DialOption { return grpc.WithStatsHandler(observer{m}) }

// observer is the Monitor's side towards gRPC. It sits on the transport, below
// every retry: it sees each attempt, but not one that waits for room on its
// connection.
type observer struct{ *Monitor }

// call is one attempt at a call. What comes back may be told of before what was sent.
type call struct {
	mu           sync.Mutex
	subscription string  // full name; empty until known, and for other calls
	stream       *stream // nil: a unary one
	streaming    bool
	acks         int  // acknowledgements that it carries
	answered     bool // something came back
}

type callKey struct{}

func (observer) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, callKey{}, &call{streaming: info.FullMethodName == pubsubpb.Subscriber_StreamingPull_FullMethodName})
}

func (o observer) HandleRPC(ctx context.Context, s stats.RPCStats) {
	contact := o.contact.Load()
	call, _ := ctx.Value(callKey{}).(*call)
	if contact == nil || call == nil {
		return
	}
	now := time.Now()
	call.mu.Lock()
	defer call.mu.Unlock()
	switch s := s.(type) {
	case *stats.OutPayload:
		call.sent(contact, s.Payload, now)
	case *stats.InHeader, *stats.InPayload:
		if call.answered = true; call.stream != nil {
			contact.answeredOn(call.subscription, call.stream, now)
		}
	case *stats.End:
		call.ended(ctx, contact, s.Error, now)
	}
}

func (observer) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (observer) HandleConn(context.Context, stats.ConnStats) {}

func (c *call) sent(contact *contact, message any, now time.Time) {
	switch m := message.(type) {
	case *pubsubpb.StreamingPullRequest:
		if m.Subscription != "" { // the first on its stream
			c.subscription, c.stream = m.Subscription, contact.opened(m.Subscription, now)
			if c.answered {
				contact.answeredOn(c.subscription, c.stream, now)
			}
		}
	case *pubsubpb.AcknowledgeRequest:
		c.subscription, c.acks = m.Subscription, len(m.AckIds)
	}
}

func (c *call) ended(ctx context.Context, contact *contact, err error, now time.Time) {
	switch {
	case c.stream != nil:
		contact.ended(c.subscription, c.stream, now, failure(ctx, err))
		return
	case c.streaming:
		return // it was never sent
	case c.acks > 0:
		contact.acked(c.subscription, now, c.acks, err == nil)
	}
	if answers(err) {
		contact.heard(now)
	}
}

// failure returns the error of a stream, nil if the stream ended in order or the
// client ended it: by its context, or with Internal if it pinged a stream that it
// had closed because the last ping was not answered.
func failure(ctx context.Context, err error) error {
	s := status.Convert(err)
	if errors.Is(err, io.EOF) || ctx.Err() != nil ||
		s.Code() == codes.Internal && strings.Contains(s.Message(), "after CloseSend") {
		return nil
	}
	return err
}

// answers reports whether a call that ended with err was answered by a working
// service, even if it was refused.
func answers(err error) bool {
	switch status.Code(err) {
	case codes.OK, codes.NotFound, codes.PermissionDenied, codes.InvalidArgument, codes.FailedPrecondition, codes.AlreadyExists:
		return true
	}
	return false
}
