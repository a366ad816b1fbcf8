package pubsubadmin

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"cloud.google.com/go/pubsub/v2"

	"github.com/northstar-engines/realtime-registry/internal/archive"
	"github.com/northstar-engines/realtime-registry/internal/subscription"
)

// LogReader reads the messages of a subscription that keeps the registry's log, as the
// lines of an archive. It is the Lines of a replay: a message is acknowledged once
// Applied says that its line is. One goroutine may read; another may call Applied.
type LogReader struct {
	leases leases
	name   string
	until  time.Time
	idle   time.Duration
	stop   func() // ends the renewal of leases

	mu        sync.Mutex
	last      int // line
	unsettled []message
}

// message is one that was read and not acknowledged.
type message struct {
	line  int
	ackID string
}

// OpenLog sets the subscription back to a time, and reads what was published from then
// until a time: until no message from before that has come for DefaultIdle, or longer if
// they come slowly, since Pub/Sub delivers in no order and cannot say that there are no
// more. Messages from after until come too. Close releases what was not acknowledged,
// which is delivered again.
func OpenLog(ctx context.Context, client *pubsub.Client, name string, since, until time.Time) (*LogReader, error) {
	r := &LogReader{
		leases: leases{client: client, subscription: client.Subscriber(name).String(), held: map[string]bool{}},
		name:   subscription.Short(name), until: until, idle: DefaultIdle,
	}
	if _, err := r.leases.look(ctx); err != nil {
		return nil, fmt.Errorf("subscription %s: %w", r.name, err)
	}
	if err := Rewind(ctx, client, []string{name}, since); err != nil {
		return nil, err
	}
	r.stop = r.leases.renew()
	return r, nil
}

// LookAtLog returns why the subscription that keeps the registry's log cannot be read;
// nil if it can, as far as these credentials may see.
func LookAtLog(ctx context.Context, client *pubsub.Client, name string) error {
	l := leases{client: client, subscription: client.Subscriber(name).String()}
	if _, err := l.look(ctx); err != nil {
		return fmt.Errorf("subscription %s: %w", subscription.Short(name), err)
	}
	return nil
}

// Close ends the reading.
func (r *LogReader) Close() {
	r.stop()
	r.leases.release()
}

// Digest is of no use: what is read again comes in another order.
func (r *LogReader) Digest() string { return "" }

// Lines yields the messages. An error is the last.
func (r *LogReader) Lines(ctx context.Context) iter.Seq2[archive.Line, error] {
	return func(yield func(archive.Line, error) bool) {
		// For how long it was waited since a message from before until: what the caller
		// does with the lines takes its own time.
		var waited time.Duration
		for waited < r.leases.patience(r.idle) {
			messages, err := r.leases.pull(ctx, r.idle)
			waited += r.leases.waited
			if err != nil {
				yield(archive.Line{File: r.name}, fmt.Errorf("subscription %s: %w", r.name, err))
				return
			}
			for _, m := range messages {
				if m.Message.PublishTime.AsTime().Before(r.until) {
					waited = 0
				}
				if !yield(r.line(m.AckId, m.Message.Data), nil) {
					return
				}
			}
		}
	}
}

func (r *LogReader) line(ackID string, data []byte) archive.Line {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	r.unsettled = append(r.unsettled, message{r.last, ackID})
	return archive.Line{File: r.name, Number: r.last, Text: data}
}

// Applied acknowledges all messages up to a line.
func (r *LogReader) Applied(line int) error {
	r.mu.Lock()
	var ids []string
	for len(r.unsettled) > 0 && r.unsettled[0].line <= line {
		ids, r.unsettled = append(ids, r.unsettled[0].ackID), r.unsettled[1:]
	}
	r.mu.Unlock()
	if err := r.leases.acknowledge(ids); err != nil {
		return fmt.Errorf("subscription %s: %w", r.name, err)
	}
	return nil
}
