package rules

import (
	"context"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
)

// PubSub stands for the rules of Pub/Sub before one emulator. It is safe for
// concurrent use.
//
// One rule needs nothing here, since the emulator has it: the subscription of a
// deleted topic reads `_deleted-topic_`, and stays so when a topic of that name
// is created anew (pubsub.proto, DeleteTopic).
type PubSub struct {
	front
	subscriber pubsubpb.SubscriberClient // for what the rules themselves ask and say

	mu            sync.Mutex
	subscriptions map[string]*subscription
	closed        chan struct{}
	keeping       sync.WaitGroup
}

// NewPubSub starts the rules before an emulator (host:port). The caller closes
// them.
func NewPubSub(host string) (*PubSub, error) {
	p := &PubSub{subscriptions: map[string]*subscription{}, closed: make(chan struct{})}
	if err := p.front.start(host, p.unary, p.stream); err != nil {
		return nil, err
	}
	p.subscriber = pubsubpb.NewSubscriberClient(p.own)
	p.keeping.Go(p.keep)
	return p, nil
}

// Close ends the proxy and all calls through it.
func (p *PubSub) Close() error {
	close(p.closed)
	p.keeping.Wait()
	return p.front.Close()
}

// Forget forgets every message, for an emulator that was started again without them.
func (p *PubSub) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.subscriptions {
		s.forget()
	}
}

// subscription returns the state of a subscription, by its full name.
func (p *PubSub) subscription(name string) *subscription {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.subscriptions[name]
	if s == nil {
		s = newSubscription(name, p.subscriber)
		p.subscriptions[name] = s
	}
	return s
}

// keep maintains leases until Close.
func (p *PubSub) keep() {
	const often = 100 * time.Millisecond
	ticker := time.NewTicker(often)
	defer ticker.Stop()
	for {
		select {
		case <-p.closed:
			return
		case now := <-ticker.C:
			p.mu.Lock()
			all := make([]*subscription, 0, len(p.subscriptions))
			for _, s := range p.subscriptions {
				all = append(all, s)
			}
			p.mu.Unlock()
			for _, s := range all {
				s.expire(now)
				s.extendHeld(now)
			}
		}
	}
}

func (p *PubSub) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	call := func(req any) error { return invoke(ctx, method, req, reply, cc, opts...) }
	switch m := req.(type) {
	case *pubsubpb.AcknowledgeRequest:
		ids := p.subscription(m.GetSubscription()).acknowledge(m.GetAckIds(), time.Now())
		if len(ids) == 0 {
			return nil
		}
		return call(&pubsubpb.AcknowledgeRequest{Subscription: m.GetSubscription(), AckIds: ids})
	case *pubsubpb.ModifyAckDeadlineRequest:
		deadline := time.Duration(m.GetAckDeadlineSeconds()) * time.Second
		ids := p.subscription(m.GetSubscription()).modify(m.GetAckIds(), deadline, time.Now())
		if len(ids) == 0 {
			return nil
		}
		return call(&pubsubpb.ModifyAckDeadlineRequest{Subscription: m.GetSubscription(), AckIds: ids, AckDeadlineSeconds: m.GetAckDeadlineSeconds()})
	case *pubsubpb.PullRequest:
		return p.pull(ctx, m, reply.(*pubsubpb.PullResponse), call)
	case *pubsubpb.SeekRequest:
		return p.forgetting(m.GetSubscription(), call, req)
	case *pubsubpb.DeleteSubscriptionRequest:
		return p.forgetting(m.GetSubscription(), call, req)
	case *pubsubpb.UpdateSubscriptionRequest:
		p.subscription(m.GetSubscription().GetName()).changed()
	}
	return call(req)
}

// pull is Pull. Its messages have the deadline of the subscription.
func (p *PubSub) pull(ctx context.Context, m *pubsubpb.PullRequest, reply *pubsubpb.PullResponse, call func(any) error) error {
	s := p.subscription(m.GetSubscription())
	if s.fed() {
		deadline, err := s.ackDeadline(ctx)
		if err == nil {
			reply.ReceivedMessages = s.pullHeld(ctx, int(m.GetMaxMessages()), deadline)
		}
		return err
	}
	if err := call(m); err != nil || len(reply.GetReceivedMessages()) == 0 {
		return err
	}
	deadline, err := s.ackDeadline(ctx)
	if err != nil {
		return err
	}
	s.lease(reply.GetReceivedMessages(), deadline, time.Now())
	return nil
}

// forgetting carries a call that invalidates everything that is held.
func (p *PubSub) forgetting(subscription string, call func(any) error, req any) error {
	err := call(req)
	if err == nil {
		p.subscription(subscription).forget()
	}
	return err
}

func (p *PubSub) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if !strings.HasSuffix(method, "/StreamingPull") {
		return open(ctx, desc, cc, method, opts...)
	}
	ctx, cancel := context.WithCancel(ctx)
	outlasting, stop := context.WithCancel(context.WithoutCancel(ctx)) // see pullStream
	unused := context.AfterFunc(ctx, stop)
	inner, err := open(outlasting, desc, cc, method, opts...)
	if err != nil {
		cancel()
		return nil, err
	}
	asked := make(chan struct{})
	return &pullStream{
		ClientStream: inner, rules: p, ctx: ctx, cancel: cancel, unused: unused, stop: stop,
		asked: asked, ask: sync.OnceFunc(func() { close(asked) }),
	}, nil
}
