// Package outbox publishes claims, retractions and operators' moves to the registry's
// log, a topic of its own, after their commits have stored them.
//
// Firestore is the only place that they are in, since no publisher's event says them:
// without the log a restored database has lost those since the backup. So the commit
// that stores one also puts it into the outbox, a collection (ownership.Outbox). The
// process that committed publishes it in the background, which no answer waits for,
// and removes it from the outbox once the topic has confirmed. If that process dies
// first, or the topic does not take it, the event stays in the outbox, and any process
// that has a Publisher publishes it a minute later.
//
// An event may be published twice, and means the same each time. None is published that
// was not committed.
//
// # Telemetry
//
// registry.log.published counts what the topic has confirmed, by who brought it there:
// commit, the process that stored it, or sweep. registry.log.failures counts what it has
// not taken. registry.outbox.waiting and registry.outbox.age are of the last sweep,
// whichever process made it.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/observe"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// Topic is where the log is published.
type Topic interface {
	// Publish publishes events, and returns when each was confirmed, or has failed: an
	// error for each, in order, nil of one that was confirmed.
	Publish(ctx context.Context, all []events.Event) []error
	// Close ends it. What was published is confirmed, or has failed.
	Close()
}

// Options make a Publisher.
type Options struct {
	// Open opens the topic. It is called once the registry has a log, and again, later,
	// after an error.
	Open func(ctx context.Context) (Topic, error)
	// Holder names this process among those that sweep.
	Holder string
	// Every is how often it asks whether the outbox is to be swept. Default:
	// ownership.OutboxPatience.
	Every time.Duration
	// Drain is how long Run goes on publishing, once its context has ended, what this
	// process has stored. Default: 5 s.
	Drain time.Duration

	Logger        *slog.Logger
	MeterProvider metric.MeterProvider
}

const (
	queued         = 10_000 // stored events that wait to be published; further ones are left to a sweep
	together       = 500    // published at once
	publishers     = 4
	publishTimeout = 10 * time.Second
	// pauses after a failure, of a publisher, which leaves what comes meanwhile to a
	// sweep, and of the sweep itself.
	shortestPause = time.Second
	longestPause  = 30 * time.Second
)

// Publisher publishes what is in the outbox.
type Publisher struct {
	store     ownership.Outbox
	o         Options
	telemetry *telemetry
	queue     chan ownership.Logged
	topic     atomic.Pointer[Topic]
	state     atomic.Pointer[ownership.OutboxState]
}

// New returns a publisher. From now on it takes what the store's commits put into the
// outbox; Run publishes it.
func New(store ownership.Outbox, o Options) (*Publisher, error) {
	if o.Every == 0 {
		o.Every = ownership.OutboxPatience
	}
	if o.Drain == 0 {
		o.Drain = 5 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Publisher{store: store, o: o, queue: make(chan ownership.Logged, queued)}
	var err error
	if p.telemetry, err = newTelemetry(p, observe.Providers{Logger: o.Logger, MeterProvider: o.MeterProvider}); err != nil {
		return nil, err
	}
	store.OnLogged(p.stored)
	return p, nil
}

// stored queues an event that this process has stored. If too many wait it is left to a
// sweep.
func (p *Publisher) stored(l ownership.Logged) {
	select {
	case p.queue <- l:
	default:
	}
}

// Run publishes until ctx ends, and then for as long as Drain what this process has
// stored. It returns at once if ctx ends while there is no log.
func (p *Publisher) Run(ctx context.Context) {
	defer p.telemetry.stop()
	if !p.open(ctx) {
		return
	}
	topic := *p.topic.Load()
	defer topic.Close()
	drain, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	context.AfterFunc(ctx, func() { time.AfterFunc(p.o.Drain, stop) })
	var working sync.WaitGroup
	for range publishers {
		working.Go(func() { p.publishStored(ctx, drain) })
	}
	working.Go(func() { p.sweep(ctx) })
	working.Wait()
}

// open opens the topic once there is a log, and reports whether it did before ctx ended.
func (p *Publisher) open(ctx context.Context) bool {
	for ; ctx.Err() == nil; wait(ctx, p.o.Every) {
		since, err := p.store.LogSince(ctx)
		if err != nil || since.IsZero() {
			continue // that the database is away is said elsewhere
		}
		topic, err := p.o.Open(ctx)
		if err != nil {
			p.telemetry.failed(ctx, "the registry's log cannot be opened: claims, retractions and operators' moves wait in the outbox", err)
			if state, err := p.store.ReadOutbox(ctx); err == nil {
				p.state.Store(&state)
			}
			continue
		}
		p.topic.Store(&topic)
		return true
	}
	return false
}

// publishStored publishes what this process has stored, until ctx has ended and nothing
// waits, or drain has ended.
func (p *Publisher) publishStored(ctx, drain context.Context) {
	pause := shortestPause
	for {
		batch := p.take(ctx)
		if len(batch) == 0 || drain.Err() != nil {
			return
		}
		if err := p.publishBatch(drain, batch, byCommit); err == nil {
			pause = shortestPause
			continue
		}
		wait(ctx, pause)
		pause = min(2*pause, longestPause)
	}
}

// take waits for something to publish, and returns it with what waits beside it; nothing
// once ctx has ended and nothing waits.
func (p *Publisher) take(ctx context.Context) (batch []ownership.Logged) {
	select {
	case l := <-p.queue:
		batch = append(batch, l)
	default:
		select {
		case l := <-p.queue:
			batch = append(batch, l)
		case <-ctx.Done():
			return nil
		}
	}
	for len(batch) < together {
		select {
		case l := <-p.queue:
			batch = append(batch, l)
		default:
			return batch
		}
	}
	return batch
}

// publishBatch publishes, and removes from the outbox what was confirmed. The error is
// that of the first which was not.
func (p *Publisher) publishBatch(ctx context.Context, batch []ownership.Logged, by string) error {
	confirmed, failure := p.publish(ctx, batch, by)
	if len(confirmed) == 0 {
		return failure
	}
	if err := p.store.Published(ctx, confirmed); err != nil { // a sweep publishes it once more
		p.o.Logger.DebugContext(ctx, "what was published is still in the outbox", "error", err)
		return errors.Join(failure, err)
	}
	return failure
}

// publish publishes, and returns the names of what was confirmed.
func (p *Publisher) publish(ctx context.Context, batch []ownership.Logged, by string) (confirmed []string, failure error) {
	all := make([]events.Event, len(batch))
	for i, l := range batch {
		all[i] = handlers.Event(l.Changes...)
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	for i, err := range (*p.topic.Load()).Publish(ctx, all) {
		if err == nil {
			confirmed = append(confirmed, batch[i].Name)
		} else if failure == nil {
			failure = fmt.Errorf("publish to the registry's log: %w", err)
		}
	}
	p.telemetry.count(ctx, by, len(confirmed), len(batch)-len(confirmed))
	if failure != nil {
		p.telemetry.failed(ctx, "the registry's log takes nothing: claims, retractions and operators' moves wait in the outbox", failure)
	}
	return confirmed, failure
}

// Flush publishes what this process has stored since New, for a command that is not a
// service: it calls no Run. The error says why some of it waits in the outbox, for a
// sweep.
func (p *Publisher) Flush(ctx context.Context) error {
	defer p.telemetry.stop()
	if len(p.queue) == 0 {
		return nil
	}
	topic, err := p.o.Open(ctx)
	if err != nil {
		return err
	}
	defer topic.Close()
	p.topic.Store(&topic)
	for len(p.queue) > 0 {
		if err := p.publishBatch(ctx, p.take(ctx), byCommit); err != nil {
			return err
		}
	}
	return nil
}

// wait waits, and reports whether ctx goes on.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
