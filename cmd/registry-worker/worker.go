package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/northstar-engines/realtime-registry/internal/consumer"
)

// worker consumes. Alone in its process it ends when its consumer does, and the
// process with it. Beside an API it does not: without its subscription no events
// come, but checks can still be answered. Then it reports that it is not ready, and
// tries again.
type worker struct {
	in        *invocation
	store     registryStore
	transport consumer.Transport
	options   consumer.Options

	mu       sync.Mutex
	consumer *consumer.Consumer
	ended    error // why the last one ended; nil while one runs
}

// The pauses before another try.
const (
	shortestPause = time.Second
	longestPause  = 30 * time.Second
)

func newWorker(s *service, transport consumer.Transport) (*worker, error) {
	w := &worker{in: s.in, store: s.store, transport: transport, options: s.consumerOptions()}
	return w, w.renew(max(time.Until(s.startBy), time.Second))
}

// renew replaces a consumer that has ended by a new one.
func (w *worker) renew(startTimeout time.Duration) error {
	w.options.StartTimeout = startTimeout
	c, err := consumer.New(w.store, w.transport, w.options)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.consumer, w.ended = c, nil
	return nil
}

// ready returns why no events are applied, or nil.
func (w *worker) ready(context.Context) error {
	w.mu.Lock()
	c, ended := w.consumer, w.ended
	w.mu.Unlock()
	if ended != nil {
		return fmt.Errorf("not consuming: %w", ended)
	}
	return c.Ready()
}

// backlogged reports whether events wait for this process.
func (w *worker) backlogged() bool {
	w.mu.Lock()
	c := w.consumer
	w.mu.Unlock()
	return c.Backlogged()
}

// run consumes until ctx ends, and drains. If something ends it sooner, that is an
// error. Beside an API only the error of the first start is returned: nothing
// relies on the process yet.
func (w *worker) run(ctx context.Context, goOn bool) error {
	pause := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(shortestPause), backoff.WithMaxInterval(longestPause), backoff.WithMaxElapsedTime(0))
	for first := true; ; first = false {
		began := time.Now()
		err := w.consumer.Run(ctx)
		if err == nil {
			return nil
		}
		err = w.in.explainPubSub(err)
		w.end(err)
		if !goOn || first && errors.Is(err, consumer.ErrStart) {
			return err
		}
		if time.Since(began) > longestPause+startTimeout {
			pause.Reset() // it ran
		}
		wait := pause.NextBackOff()
		w.in.Logger.Error("the worker has ended, and is started again; checks are answered meanwhile", "error", err, "in", wait.Round(time.Millisecond))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		if err := w.renew(startTimeout); err != nil {
			return err
		}
	}
}

// end notes why the consumer has ended.
func (w *worker) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = err
}
