package consumer

import (
	"context"
	"fmt"
	"hash/crc32"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// store is an ownership.Store of which the consumer uses Apply only.
type store struct {
	ownership.Store
	apply func(ctx context.Context, changes []ownership.Change) []ownership.Outcome

	mu    sync.Mutex
	calls [][]ownership.Change
}

func (s *store) Apply(ctx context.Context, changes []ownership.Change) []ownership.Outcome {
	s.mu.Lock()
	s.calls = append(s.calls, changes)
	s.mu.Unlock()
	return s.apply(ctx, changes)
}

func (s *store) attempts() [][]ownership.Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([][]ownership.Change(nil), s.calls...)
}

// each answers every change on its own.
func each(outcome func(ownership.Change) ownership.Outcome) *store {
	return &store{apply: func(_ context.Context, changes []ownership.Change) []ownership.Outcome {
		outcomes := make([]ownership.Outcome, len(changes))
		for i, change := range changes {
			outcomes[i] = outcome(change)
		}
		return outcomes
	}}
}

func applied(ownership.Change) ownership.Outcome { return ownership.Outcome{Kind: ownership.Applied} }

func down(ownership.Change) ownership.Outcome {
	return ownership.Outcome{Kind: ownership.Failed, Err: fmt.Errorf("commit: %w", registry.ErrUnavailable)}
}

// line is a Transport in memory: what is sent on it is delivered, each message
// in a goroutine of its own.
type line struct {
	messages chan Message
	broken   chan error // a value ends Receive
	check    error
	bury     func(context.Context, DeadLetter) error // nil: confirms

	mu      sync.Mutex
	letters []DeadLetter
}

func newLine() *line { return &line{messages: make(chan Message, 10_000), broken: make(chan error, 1)} }

func (l *line) Check(context.Context) error { return l.check }

func (l *line) Ready() error { return nil }

func (l *line) Receive(ctx context.Context, _ Limits, deliver func(context.Context, Message)) (err error) {
	var unsettled sync.WaitGroup
	defer unsettled.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-l.broken:
			return err
		case m := <-l.messages:
			unsettled.Add(1)
			go deliver(ctx, m)
			go func() {
				<-m.Settler.(*receipt).done
				unsettled.Done()
			}()
		}
	}
}

func (l *line) DeadLetter(ctx context.Context, letter DeadLetter) error {
	if l.bury != nil {
		if err := l.bury(ctx, letter); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.letters = append(l.letters, letter)
	return nil
}

func (l *line) deadLetters() []DeadLetter {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]DeadLetter(nil), l.letters...)
}

// send puts a message on the line and returns its receipt.
func (l *line) send(m Message) *receipt {
	r := &receipt{done: make(chan struct{})}
	m.Settler = r
	l.messages <- m
	return r
}

// receipt tells how a message was settled. Settling twice panics.
type receipt struct {
	acked bool
	at    time.Time
	done  chan struct{}
}

func (r *receipt) Ack()  { r.settle(true) }
func (r *receipt) Nack() { r.settle(false) }

func (r *receipt) settle(acked bool) {
	r.acked, r.at = acked, time.Now()
	close(r.done)
}

func (r *receipt) wait() bool {
	<-r.done
	return r.acked
}

// running makes and starts a consumer, and stops it when the test ends.
func running(t *testing.T, s ownership.Store, l *line, opts Options) (c *Consumer, stop func() error) {
	t.Helper()
	c, err := New(s, l, opts)
	require.NoError(t, err)
	return c, run(t, c)
}

// run starts a consumer and stops it when the test ends.
func run(t *testing.T, c *Consumer) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- c.Run(ctx) }()
	var once sync.Once
	var ended error
	stop = func() error {
		once.Do(func() {
			cancel()
			ended = <-result
		})
		return ended
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

// created is the message of a thread that a tenant created.
func created(tenant, thread string) Message {
	return message(string(events.ThreadCreatedType), fmt.Sprintf(`{"tenant_id":%q,"thread_id":%q}`, tenant, thread))
}

// tenantMoved is the message of everything of a tenant that moved.
func tenantMoved(from, to string) Message {
	return message(string(events.TenantMovedType), fmt.Sprintf(`{"from_tenant_id":%q,"to_tenant_id":%q}`, from, to))
}

func message(eventType, data string) Message {
	now := time.Now().UTC()
	return Message{
		ID:           "m1",
		Subscription: "nexus-thread-created.realtime-registry",
		Attributes: map[string]string{
			"ce-specversion": "1.0",
			"ce-id":          fmt.Sprintf("e-%x", crc32.ChecksumIEEE([]byte(data))),
			"ce-source":      "//nexus/test",
			"ce-type":        eventType,
			"ce-time":        now.Format(time.RFC3339Nano),
		},
		Data:        []byte(data),
		PublishTime: now,
	}
}

// held is a store that applies nothing before gate is closed, and then everything.
func held(gate <-chan struct{}) *store {
	return &store{apply: func(ctx context.Context, changes []ownership.Change) []ownership.Outcome {
		<-gate
		return each(applied).apply(ctx, changes)
	}}
}
