package dev

import (
	"context"
	"slices"
	"sync"

	"github.com/northstar-engines/realtime-registry/internal/consumer"
)

// A Watch is a transport that reports when a message is settled for good, and which
// dead letters there were. It remembers what happens until Forget.
type Watch struct {
	consumer.Transport

	mu        sync.Mutex
	forgotten bool
	acked     map[string]bool // by message id
	letters   []consumer.DeadLetter
	changed   chan struct{} // closed and replaced with every ack
}

// NewWatch watches a transport.
func NewWatch(t consumer.Transport) *Watch {
	return &Watch{Transport: t, acked: map[string]bool{}, changed: make(chan struct{})}
}

// Receive implements consumer.Transport.
func (w *Watch) Receive(ctx context.Context, limits consumer.Limits, deliver func(context.Context, consumer.Message)) error {
	return w.Transport.Receive(ctx, limits, func(ctx context.Context, m consumer.Message) {
		m.Settler = watched{m.Settler, w, m.ID}
		deliver(ctx, m)
	})
}

// DeadLetter implements consumer.Transport.
func (w *Watch) DeadLetter(ctx context.Context, letter consumer.DeadLetter) error {
	if err := w.Transport.DeadLetter(ctx, letter); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.forgotten {
		w.letters = append(w.letters, letter)
	}
	return nil
}

// Await returns nil once the message is acked: it was applied, or its dead letter
// is confirmed. A nack does not count: the message is delivered again.
func (w *Watch) Await(ctx context.Context, messageID string) error {
	for {
		w.mu.Lock()
		acked, changed := w.acked[messageID], w.changed
		w.mu.Unlock()
		if acked {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// DeadLetters returns the confirmed dead letters, in order of confirmation.
func (w *Watch) DeadLetters() []consumer.DeadLetter {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.letters)
}

// Forget drops what is remembered, and stops remembering: a dev process may run for
// days.
func (w *Watch) Forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forgotten, w.acked, w.letters = true, nil, nil
}

func (w *Watch) ack(messageID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.forgotten {
		return
	}
	w.acked[messageID] = true
	close(w.changed)
	w.changed = make(chan struct{})
}

type watched struct {
	consumer.Settler
	watch *Watch
	id    string
}

func (s watched) Ack() {
	s.Settler.Ack()
	s.watch.ack(s.id)
}
