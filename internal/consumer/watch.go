package consumer

import (
	"context"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
)

// watch watches the connection to Pub/Sub until ctx ends: it logs changes, and asks
// if nothing is heard. An idle stream is silent for half a minute on the service,
// and for ever on the emulator.
func (p *PubSub) watch(ctx context.Context) {
	tick := time.NewTicker(min(time.Second, p.opts.ReadyTimeout/30))
	defer tick.Stop()
	asked := make(chan struct{}, 1) // holds a token while a question is under way
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		for _, n := range p.contact.turn(now) {
			p.report(n, now)
		}
		if p.contact.silence(now) < p.contact.askAfter() {
			continue
		}
		select {
		case asked <- struct{}{}:
			go func() {
				p.ask(ctx)
				<-asked
			}()
		default:
		}
	}
}

// ask asks Pub/Sub something small; the Monitor hears the answer.
func (p *PubSub) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, p.contact.askAfter())
	defer cancel()
	request := &pubsubpb.GetSubscriptionRequest{Subscription: p.client.Subscriber(p.opts.Subscriptions[0]).String()}
	_, _ = p.client.SubscriptionAdminClient.GetSubscription(ctx, request, once)
}

func (p *PubSub) report(n news, now time.Time) {
	took := now.Sub(n.since).Round(time.Second)
	if !n.lost {
		p.opts.Logger.Info("Pub/Sub is back: streams are connected again", "subscriptions", n.subscriptions, "after", took)
		return
	}
	args := []any{"subscriptions", n.subscriptions, "since", n.since.UTC().Format(time.RFC3339), "for", took}
	if n.failure != nil {
		args = append(args, "error", n.failure)
	}
	p.opts.Logger.Warn("no contact with Pub/Sub: nothing is received; the client goes on trying", args...)
}
