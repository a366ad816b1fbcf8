package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/googleapis/gax-go/v2"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/internal/subscription"
)

// A subscription may exist, deliver nothing for ever, and look idle; and a dead
// letter that Pub/Sub has confirmed is lost if no subscription keeps it. So
// both are looked at, at the start and again every LookInterval.

// looked has the results of the last looks. It is safe for concurrent use.
type looked struct {
	mu     sync.Mutex
	faults map[string]error // by what was looked at
	denied map[string]bool  // reported already
	again  bool             // after the start
}

func newLooked() *looked { return &looked{faults: map[string]error{}, denied: map[string]bool{}} }

// thing is something to look at.
type thing struct {
	name string // as messages name it
	look func(context.Context) error
}

func (p *PubSub) things() []thing {
	var all []thing
	for _, name := range p.opts.Subscriptions {
		want := subscription.Of(name)
		full := p.client.Subscriber(name).String()
		all = append(all, thing{"subscription " + full, func(ctx context.Context) error {
			return p.lookAt(ctx, full, want, "does not exist: `registry-worker provision` creates it")
		}})
	}
	topic := p.deadLetters.String()
	want := subscription.OfDeadLetters(topic)
	return append(all,
		thing{"dead-letter topic " + topic, func(ctx context.Context) error {
			_, err := p.client.TopicAdminClient.GetTopic(ctx, &pubsubpb.GetTopicRequest{Topic: topic}, once)
			return missing(err, "does not exist: `registry-worker provision` creates it")
		}},
		thing{"subscription " + want.Name + " of the dead-letter topic", func(ctx context.Context) error {
			return p.lookAt(ctx, p.client.Subscriber(want.Name).String(), want,
				"does not exist, so that what is refused would be lost: `registry-worker provision` creates it")
		}})
}

// lookAt looks at one subscription.
func (p *PubSub) lookAt(ctx context.Context, full string, want subscription.Wanted, absent string) error {
	have, err := p.client.SubscriptionAdminClient.GetSubscription(ctx, &pubsubpb.GetSubscriptionRequest{Subscription: full}, once)
	if err != nil {
		return missing(err, absent)
	}
	if err := want.Harm(have); err != nil {
		return fault{"is not as it must be: " + err.Error()}
	}
	if short := want.KeepsLess(have); len(short) > 0 && !p.looked.isAgain() {
		p.opts.Logger.Warn("the subscription keeps less than `registry-worker provision` would have it keep", "subscription", want.Name, "wanted", short)
	}
	return nil
}

func (l *looked) isAgain() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.again
}

// fault is the error of a thing that is not as it must be, rather than of the
// looking itself. Its text follows the thing's name.
type fault struct{ text string }

func (f fault) Error() string { return f.text }

func missing(err error, absent string) error {
	if status.Code(err) == codes.NotFound {
		return fault{absent}
	}
	return err
}

// once turns off the client's own retries, which go on until the context ends
// and lose the reason.
var once = gax.WithRetry(func() gax.Retryer { return nil })

// Check implements Transport: it looks at the subscriptions, the dead-letter topic
// and its subscription (package subscription says what they must be). If an
// identity may consume but not look, Check only warns.
func (p *PubSub) Check(ctx context.Context) error {
	things := p.things()
	faults := make([]error, len(things))
	var group errgroup.Group
	for i, t := range things {
		group.Go(func() error {
			faults[i] = p.judge(t, t.look(ctx))
			return nil
		})
	}
	_ = group.Wait()
	return errors.Join(faults...)
}

// judge records the result of a look, logs what is new, and returns it with the
// name of the thing.
func (p *PubSub) judge(t thing, err error) error {
	switch code := status.Code(err); {
	case err == nil:
		p.note(t, nil)
		return nil
	case errors.As(err, &fault{}):
		err = fmt.Errorf("%s %w", t.name, err)
		p.note(t, err)
		return err
	case code == codes.PermissionDenied:
		p.looked.mu.Lock()
		told := p.looked.denied[t.name]
		p.looked.denied[t.name] = true
		p.looked.mu.Unlock()
		if !told {
			p.opts.Logger.Warn("not allowed to look whether it is as it must be; going on (roles/pubsub.viewer allows it)", "name", t.name)
		}
		return nil
	case code == codes.Unavailable, code == codes.DeadlineExceeded, errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: pub/sub does not answer: %w", t.name, err)
	default:
		return fmt.Errorf("%s: %w", t.name, err)
	}
}

func (p *PubSub) note(t thing, found error) {
	p.looked.mu.Lock()
	before := p.looked.faults[t.name]
	p.looked.faults[t.name] = found
	receiving := p.looked.again
	p.looked.mu.Unlock()
	switch {
	case !receiving: // the start fails with it
	case found != nil && before == nil:
		p.opts.Logger.Error("what the worker relies on is not as it must be", "name", t.name, "error", found)
	case found == nil && before != nil:
		p.opts.Logger.Info("what the worker relies on is as it must be again", "name", t.name)
	}
}

// lookAgain looks every LookInterval until ctx ends. If Pub/Sub does not answer,
// that is not a result.
func (p *PubSub) lookAgain(ctx context.Context) {
	p.looked.mu.Lock()
	p.looked.again = true
	p.looked.mu.Unlock()
	tick := time.NewTicker(p.opts.LookInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		looking, cancel := context.WithTimeout(ctx, lookTimeout)
		_ = p.Check(looking)
		cancel()
	}
}

const lookTimeout = 10 * time.Second

// found returns the faults of the last looks, in order.
func (l *looked) found() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []error
	for _, err := range l.faults {
		if err != nil {
			all = append(all, err)
		}
	}
	slices.SortFunc(all, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(all...)
}

func (l *looked) count() (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, err := range l.faults {
		if err != nil {
			n++
		}
	}
	return n
}
