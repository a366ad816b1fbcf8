package main

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/northstar-engines/realtime-registry/internal/observe"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// storeHealth knows whether the registry's store answers. That is a question of its
// own, at /readyz?store and in the gauge registry.store.up: if the store is down,
// sending a process's requests elsewhere does not help, since it is down there too.
type storeHealth struct {
	store ownership.Store

	mu    sync.Mutex
	asked time.Time
	last  error
}

// The question costs a read, and every client that reaches the port can cause it.
// The gauge is read at any rate: by Prometheus, and every two seconds while a
// console is open.
const (
	askStoreEvery     = time.Second // at most
	measureStoreEvery = 10 * time.Second
	askStoreTimeout   = 2 * time.Second
)

func newStoreHealth(store ownership.Store, p observe.Providers) (*storeHealth, error) {
	h := &storeHealth{store: store}
	i := p.Instruments(scope)
	up := i.Gauge("registry.store.up", "{store}", "1 if the registry's store has answered, asked in the last ten seconds; else 0.")
	i.Collect(func(ctx context.Context, o metric.Observer) {
		answers := int64(1)
		if h.within(ctx, measureStoreEvery) != nil {
			answers = 0
		}
		o.ObserveInt64(up, answers)
	}, up)
	return h, i.Err()
}

// ask returns why the store does not answer, or nil. The result is up to a second
// old.
func (h *storeHealth) ask(ctx context.Context) error { return h.within(ctx, askStoreEvery) }

// within is ask with a result that is at most so old. If the store does not answer,
// it is asked again sooner, so that the end of an outage shows.
func (h *storeHealth) within(ctx context.Context, age time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last != nil {
		age = min(age, askStoreEvery)
	}
	if !h.asked.IsZero() && time.Since(h.asked) < age {
		return h.last
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askStoreTimeout)
	defer cancel()
	_, h.last = h.store.Read(ctx, nil)
	h.asked = time.Now()
	return h.last
}
