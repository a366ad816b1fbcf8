package pubsubadmin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/internal/subscription"
)

const (
	pullMessages = 1000             // in one pull, at most: Pub/Sub may give fewer
	maxHeld      = 100_000          // leased at the same time, about: 30 MB of ids
	lease        = 20 * time.Second // of what is held
	renewal      = 4 * time.Second  // how often leases are extended
	// How many acknowledgement ids fit into one request: ids have some 200
	// bytes, and requests 512 KiB.
	idsPerRequest  = 1000
	lookTimeout    = 8 * time.Second
	mostPatience   = time.Minute
	longestFailure = 30 * time.Second // for which pulls may fail before that is an error
	// pullPause is between two pulls of which the first brought nothing: the emulator
	// does not wait for messages, and the service as long as it likes.
	pullPause = 200 * time.Millisecond
)

// errEnough ends a visit, and is no error of it.
var errEnough = errors.New("enough")

// visit calls f with the messages of a subscription, batch by batch, until none has
// come for the idle time, or longer if they come slowly, f says stop or returns an
// error, or maxHeld are held. f returns the acknowledgement ids of the messages that it
// is done with, also with an error. visit holds the others until it returns, so that they
// are not delivered to it again, and then releases them.
//
// It pulls instead of opening a stream: a message that is given back while a
// stream is open may be delivered to that stream, and is lost to others for a
// lease.
func visit(ctx context.Context, client *pubsub.Client, name string, idle time.Duration,
	f func([]*pubsubpb.ReceivedMessage) (ack []string, stop bool, err error)) (extent Extent, err error) {
	s := leases{client: client, subscription: client.Subscriber(name).String(), held: map[string]bool{}}
	defer func() {
		if err != nil {
			err = fmt.Errorf("subscription %s: %w", subscription.Short(name), err)
		}
	}()
	have, err := s.look(ctx)
	if err != nil {
		return Extent{}, err
	}
	extent.Kept = have.GetMessageRetentionDuration().AsDuration()
	stopRenewing := s.renew()
	defer s.release()
	defer stopRenewing()
	for s.count() < maxHeld {
		messages, err := s.pull(ctx, idle)
		if err != nil || len(messages) == 0 {
			return extent, err
		}
		ack, stop, ended := f(messages)
		if err := s.acknowledge(ack); err != nil {
			return extent, err
		}
		if errors.Is(ended, errEnough) {
			return extent, nil
		}
		if ended != nil || stop {
			return extent, ended
		}
	}
	extent.More = true
	return extent, nil
}

// leases are the messages that are held.
type leases struct {
	client       *pubsub.Client
	subscription string
	waited       time.Duration // in the last pull, since Pub/Sub failed last
	longest      time.Duration // that messages took to come

	mu   sync.Mutex
	held map[string]bool // by acknowledgement id
}

func (s *leases) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.held)
}

// look returns the subscription, or an error if it is missing or cannot be reached. A
// pull does not tell the latter from an empty subscription. An identity that may pull
// but not look gets nil.
//
// A subscription with a dead-letter policy is refused: each visit is a delivery
// attempt of what it gives back, and after the policy's number of them Pub/Sub
// moves the message away (pubsub.proto, DeadLetterPolicy.max_delivery_attempts).
func (s *leases) look(ctx context.Context) (*pubsubpb.Subscription, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	have, err := s.client.SubscriptionAdminClient.GetSubscription(ctx, &pubsubpb.GetSubscriptionRequest{Subscription: s.subscription}, once)
	switch {
	case status.Code(err) == codes.PermissionDenied:
		return nil, nil
	case err != nil:
		return nil, err
	case have.DeadLetterPolicy != nil:
		return nil, errors.New("it has a dead-letter policy of Pub/Sub's own, which takes away what is looked at several times; `registry-worker provision` removes it")
	}
	return have, nil
}

// once turns off the client's own retries, which go on until the context ends
// and lose the reason.
var once = gax.WithRetry(func() gax.Retryer { return nil })

// pull returns no messages if none has come for as long as patience says.
func (s *leases) pull(ctx context.Context, idle time.Duration) ([]*pubsubpb.ReceivedMessage, error) {
	began := time.Now()
	messages, err := s.pullUpTo(ctx, s.patience(idle), pullMessages)
	waiting := func(m *pubsubpb.ReceivedMessage) bool { return m.Message.PublishTime.AsTime().Before(began) }
	if slices.ContainsFunc(messages, waiting) { // else it was not slow, but published meanwhile
		s.longest = max(s.longest, s.waited)
	}
	return messages, err
}

// patience is for how long no message may come before it is taken that there are no more:
// the idle time, and three times the longest that any took to come. With a million of
// them the emulator takes seconds for each answer, and then longer than it ever had.
func (s *leases) patience(idle time.Duration) time.Duration {
	return max(idle, min(3*s.longest, mostPatience))
}

// pullUpTo returns no messages if Pub/Sub had none for the idle time, and can be reached.
// The time begins again after an attempt that failed.
func (s *leases) pullUpTo(ctx context.Context, idle time.Duration, most int32) ([]*pubsubpb.ReceivedMessage, error) {
	began := time.Now()
	defer func() { s.waited = time.Since(began) }()
	var failing time.Time // since when; zero: the last attempt did not fail
	for {
		waiting, cancel := context.WithDeadline(ctx, began.Add(idle))
		response, err := s.client.SubscriptionAdminClient.Pull(waiting, &pubsubpb.PullRequest{
			Subscription: s.subscription, MaxMessages: most,
		}, once)
		over := waiting.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil && over: // an empty subscription, or a link on which nothing passes
			_, err := s.look(ctx)
			return nil, err
		case err == nil && len(response.ReceivedMessages) > 0:
			s.hold(response.ReceivedMessages)
			return response.ReceivedMessages, nil
		case err == nil || status.Code(err) == codes.DeadlineExceeded: // which only means that there may be more
			failing = time.Time{}
		case !mayPass(err):
			return nil, err
		case failing.IsZero():
			failing = time.Now()
		case time.Since(failing) > longestFailure:
			return nil, err
		}
		wait(ctx, pullPause)
		if !failing.IsZero() {
			began = time.Now()
		}
	}
}

// mayPass reports whether a pull that failed is tried again: what Google's client tries
// again by itself until its time is over (apiv1, defaultSubscriptionAdminCallOptions).
func mayPass(err error) bool {
	switch status.Code(err) {
	case codes.Unknown, codes.Aborted, codes.Unavailable, codes.Internal:
		return true
	}
	return false
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (s *leases) hold(messages []*pubsubpb.ReceivedMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range messages {
		s.held[m.AckId] = true
	}
}

// acknowledge uses a context of its own: Ctrl-C must not undo what was done.
func (s *leases) acknowledge(ids []string) error {
	for chunk := range slices.Chunk(ids, idsPerRequest) {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		err := s.client.SubscriptionAdminClient.Acknowledge(ctx, &pubsubpb.AcknowledgeRequest{
			Subscription: s.subscription, AckIds: chunk,
		})
		cancel()
		if err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
		s.mu.Lock()
		for _, id := range chunk {
			delete(s.held, id)
		}
		s.mu.Unlock()
	}
	return nil
}

// renew extends the leases until stop is called.
func (s *leases) renew() (stop func()) {
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(renewal)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				s.modify(lease)
			case <-ended:
				return
			}
		}
	}()
	return func() {
		close(ended)
		<-done
	}
}

func (s *leases) release() { s.modify(0) }

// modify sets how long the held messages stay leased. If that fails the lease
// ends by itself: it is no error.
func (s *leases) modify(d time.Duration) {
	s.mu.Lock()
	ids := make([]string, 0, len(s.held))
	for id := range s.held {
		ids = append(ids, id)
	}
	s.mu.Unlock()
	for chunk := range slices.Chunk(ids, idsPerRequest) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		_ = s.client.SubscriptionAdminClient.ModifyAckDeadline(ctx, &pubsubpb.ModifyAckDeadlineRequest{
			Subscription: s.subscription, AckIds: chunk, AckDeadlineSeconds: int32(d.Seconds()),
		})
		cancel()
	}
}
