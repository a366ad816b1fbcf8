package verifier

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier/internal/certified"
)

// maxBatch is the largest number of resources in a read that checks share.
const maxBatch = 100

var (
	errShed    = fmt.Errorf("%w: too many checks are waiting", registry.ErrUnavailable)
	errTimeout = errors.New("no answer from the store in time")
	errClosed  = fmt.Errorf("%w: the verifier is closed", registry.ErrUnavailable)
)

// reader turns many checks into few strong reads. As long as another read is
// allowed, a check sends its own. Otherwise it joins the queue, where checks of one
// resource share a place; the next read takes up to maxBatch places.
//
// A check joins only a read that has not been sent, so the answer is never older
// than the check. A read does not depend on any one of its checks: a caller's
// deadline does not end it for the others. Once all of them have left, it is
// cancelled.
type reader struct {
	store     ownership.Store
	cache     *certified.Cache
	life      context.Context
	options   Options
	telemetry *telemetry

	running sync.WaitGroup // reads

	mu       sync.Mutex
	reads    int        // under way
	waiting  int        // checks in the queue or in a read
	renewals int        // of these, the ones of renew
	queue    *list.List // of *place, the oldest first
	queued   map[registry.Resource]*place
}

// place is one resource in one read, with the checks that share it; or a list of
// resources, which is not shared.
type place struct {
	resources []registry.Resource
	span      trace.SpanContext // of the check that made it
	checks    int               // that still wait
	renewals  int               // of these, the ones of renew
	element   *list.Element     // in the queue; nil once sent
	batch     *batch            // nil until sent

	done chan struct{} // closed once seen and err are set
	seen []sighting    // in the order of resources
	err  error
}

// batch is one read of the store.
type batch struct {
	ctx       context.Context
	cancel    context.CancelFunc
	places    []*place
	resources []registry.Resource // of the places, in order
	live      int                 // places with checks that still wait
}

func newReader(life context.Context, store ownership.Store, cache *certified.Cache, options Options, t *telemetry) *reader {
	return &reader{
		store: store, cache: cache, life: life, options: options, telemetry: t,
		queue: list.New(), queued: map[registry.Resource]*place{},
	}
}

// close stops the reader, and waits for the reads under way. It takes the lock so
// that no join comes in between.
func (r *reader) close(stop context.CancelFunc) {
	r.mu.Lock()
	stop()
	r.mu.Unlock()
	r.running.Wait()
}

// read returns what a read sent after this call sees of the resource. Every error
// wraps ErrUnavailable, and the context's error if that ended first.
func (r *reader) read(ctx context.Context, resource registry.Resource) (sighting, error) {
	seen, err := r.readAll(ctx, []registry.Resource{resource})
	if err != nil {
		return sighting{}, err
	}
	return seen[0], nil
}

// readAll is read for a list, in one read.
func (r *reader) readAll(ctx context.Context, resources []registry.Resource) ([]sighting, error) {
	if ctx.Err() != nil {
		return nil, unavailable(context.Cause(ctx))
	}
	p, err := r.join(ctx, resources)
	if err != nil {
		return nil, err
	}
	defer r.leave(p)
	timeout := time.NewTimer(r.options.Timeout)
	defer timeout.Stop()
	select {
	case <-p.done:
		return p.seen, p.err
	case <-ctx.Done():
		return nil, unavailable(context.Cause(ctx))
	case <-timeout.C:
		return nil, unavailable(errTimeout)
	}
}

func (r *reader) join(ctx context.Context, resources []registry.Resource) (*place, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.life.Err() != nil {
		return nil, errClosed
	}
	if r.waiting >= r.options.MaxWaiting {
		return nil, errShed
	}
	return r.joinLocked(ctx, resources), nil
}

func (r *reader) joinLocked(ctx context.Context, resources []registry.Resource) *place {
	r.waiting++
	single := len(resources) == 1
	if p, ok := r.queued[resources[0]]; ok && single {
		p.checks++
		return p
	}
	p := &place{
		resources: resources,
		span:      trace.SpanContextFromContext(ctx),
		checks:    1,
		done:      make(chan struct{}),
	}
	p.element = r.queue.PushBack(p)
	if single {
		r.queued[resources[0]] = p
	}
	if r.reads < r.options.MaxReads {
		r.sendLocked()
	}
	return p
}

func (r *reader) leave(p *place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaveLocked(p)
}

func (r *reader) leaveLocked(p *place) {
	r.waiting--
	p.checks--
	switch {
	case p.checks > 0:
	case p.batch == nil:
		r.unqueueLocked(p)
	default:
		if p.batch.live--; p.batch.live == 0 {
			p.batch.cancel()
		}
	}
}

func (r *reader) unqueueLocked(p *place) {
	r.queue.Remove(p.element)
	p.element = nil
	if r.queued[p.resources[0]] == p {
		delete(r.queued, p.resources[0])
	}
}

func (r *reader) sendLocked() {
	b := &batch{}
	b.ctx, b.cancel = context.WithTimeout(r.life, r.options.Timeout)
	for r.queue.Len() > 0 {
		p := r.queue.Front().Value.(*place)
		if len(b.places) > 0 && len(b.resources)+len(p.resources) > maxBatch {
			break
		}
		r.unqueueLocked(p)
		p.batch = b
		b.places = append(b.places, p)
		b.resources = append(b.resources, p.resources...)
	}
	b.live = len(b.places)
	r.reads++
	r.running.Go(func() { r.run(b) })
}

func (r *reader) run(b *batch) {
	defer b.cancel()
	marks := make([]certified.Mark, len(b.resources))
	for i, resource := range b.resources {
		marks[i] = r.cache.Mark(resource)
	}
	ctx, read := r.telemetry.beginRead(b.ctx, b.places, len(b.resources))
	snapshot, err := r.store.Read(ctx, b.resources)
	read.end(err)
	next := 0
	for _, p := range b.places {
		if err != nil {
			p.err = unavailable(err)
			close(p.done)
			continue
		}
		p.seen = make([]sighting, len(p.resources))
		for j := range p.seen {
			p.seen[j] = sighting{record: snapshot.Records[next], ledger: snapshot.Ledger, readTime: snapshot.ReadTime, mark: marks[next]}
			next++
		}
		close(p.done)
	}
	r.keepRenewed(b.places)

	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads--
	if r.queue.Len() > 0 {
		r.sendLocked()
	}
}

// unavailable wraps the error that kept the answer away, once. The error of a
// shared read is never ErrInvalid: the ids were checked before.
func unavailable(err error) error {
	switch {
	case errors.Is(err, registry.ErrInvalid):
		return fmt.Errorf("%w: %v", registry.ErrUnavailable, err)
	case errors.Is(err, registry.ErrUnavailable):
		return err
	}
	return fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
}
