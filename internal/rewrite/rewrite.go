// Package rewrite updates documents after moves of whole tenants, for readers that
// know the documents and not the ledger (design §4).
//
// A move of a tenant is one write to the ledger, and verifiers see it at once.
// Every change of the ledger, including a retraction, queues a job that sets the
// tenant_id of the affected documents, and only of those, to the owner by the fold.
// Any number of workers may run: one at a time has the lease. It does many jobs at
// once, in turns, so that a small one does not wait for large ones, and cuts a large
// one into ranges of names. A worker that ends releases the lease. If it was killed,
// another resumes its jobs from the last stored progress, once the lease has run out.
//
// # Guarantees
//
// When the last job has ended, every document's tenant_id is the owner by the
// fold, and its path that of the fold, even if a process that did not know of the
// move wrote it while the job ran. docs/moves.md says why. Two workers that both
// think they have the lease only harm each other's progress: every write is
// conditional, and folds with a fresh ledger.
//
// It does not promise how soon: by default it follows Firestore's ramp (package
// internal/governor), and ten million documents take some 45 minutes. One governor
// bounds all jobs together, and a worker goes on where the last one's was. A new job
// waits for at most a turn of each slot, whatever is under way, and the oldest job
// gets each eighth turn, so that none waits for ever. While something more urgent needs
// the store (Options.GiveWay), one turn is taken after the other.
//
// # What is not understood
//
// Documents that this version does not understand (registry.ErrTooNew) are left
// alone. A job that met any is not done: it rewrites all other documents, and is
// left to a worker of a later release. This worker goes on with the other jobs, and
// tries this one again after a minute, then after two, and so on, at least once an
// hour.
//
// # Failures
//
// A job that fails in any other way, including a panic, is tried again after 5 s,
// then 10 s, and so on, at least once an hour, by whichever worker has the lease; the
// others go on. After 10 tries without progress it is parked: `moves list` says so,
// and `moves resume` has it tried again. So an outage parks nothing, unless it lasts
// for about 45 minutes and the ledger can be written meanwhile.
//
// # Passes
//
// The last pass of a job begins when every writer must know of the change:
// Store.WriterHorizon after its commit. If all documents can be done before that, a
// first pass serves readers sooner.
//
// # Telemetry
//
//   - registry.rewriting.documents (counter, operation: read, write)
//   - registry.rewriting.jobs (counter, outcome: done, interrupted, lease_lost,
//     too_new, panic, error, parked)
//   - registry.rewriting.lag (histogram, seconds from the change's commit to the
//     end of its job)
//   - registry.rewriting.remaining (gauge, documents that this process's current
//     passes have still to visit)
//   - log lines at the beginning, at the end, and every 10 s in between
package rewrite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/northstar-engines/realtime-registry/internal/observe"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// sleep waits; the error is that of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Worker does jobs.
type Worker struct {
	store     ownership.Rewriter
	o         Options
	telemetry *telemetry
	passing   passing // a session's lock guards it
}

// New returns a worker that does nothing yet.
func New(store ownership.Rewriter, o Options) (*Worker, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	t, err := newTelemetry(observe.Providers{MeterProvider: o.MeterProvider})
	if err != nil {
		return nil, fmt.Errorf("rewrite: %w", err)
	}
	return &Worker{store: store, o: o.withDefaults(), telemetry: t, passing: passing{}}, nil
}

// Run does jobs until ctx ends, and returns within Options.Drain of that. Then
// no write of its own is under way, and the lease is released if the store can be
// had. A store that cannot be had is logged, and asked again.
func (w *Worker) Run(ctx context.Context) {
	const longest = time.Minute
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(w.o.Poll), backoff.WithMultiplier(2),
		backoff.WithMaxInterval(longest), backoff.WithMaxElapsedTime(0))
	for ctx.Err() == nil {
		wait := w.o.Poll
		err := w.RunPending(ctx)
		switch {
		case errors.Is(err, ownership.ErrLeaseHeld): // which is renewed after a third of it
			wait = max(wait, w.o.Lease/3)
			pause.Reset()
		case err == nil, errors.Is(err, ownership.ErrNoJob), errors.Is(err, ownership.ErrLeaseLost), errors.Is(err, errPassedOver):
			pause.Reset()
		case errors.Is(err, registry.ErrTooNew):
			wait = longest // nothing can be folded with the ledger: no job can be done
			w.o.Logger.Error("rewriting waits for a release that understands what is stored", "error", err, "in", wait)
		case ctx.Err() == nil:
			wait = pause.NextBackOff()
			w.o.Logger.Warn("rewriting failed; it is tried again", "error", err, "in", wait)
		}
		if sleep(ctx, wait) != nil {
			return
		}
	}
}

// Holder names this worker to others.
func (w *Worker) Holder() string { return w.o.Holder }

// RunPending does the jobs that are pending, and those that come meanwhile, until none
// is left that may be done now. Errors: ErrNoJob (ErrLeaseHeld if another worker does
// them), ErrLeaseLost, that of ctx, or those of the store and *ownership.PanicError,
// for a panic; what is left can be taken up again after each of them. A job that
// failed, or met what is not understood (registry.ErrTooNew), holds up no other; the
// error is that of the first one.
func (w *Worker) RunPending(ctx context.Context) (err error) {
	defer recovered(&err)
	if err := w.findJob(ctx); err != nil {
		return err
	}
	s, err := w.open(ctx)
	if err != nil {
		return err
	}
	return s.run(ctx)
}

// findJob returns ErrNoJob if there is none to do. That costs one read.
func (w *Worker) findJob(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	except := w.passing.positions(time.Now())
	jobs, err := w.store.Jobs(ctx, 0, 1, func(position int64) bool { return except[position] })
	if err == nil && len(jobs) == 0 {
		err = ownership.ErrNoJob
	}
	return err
}

// outlasting returns a context that ends so long after ctx.
func outlasting(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(d, cancel) })
	return longer, func() { stop(); cancel() }
}
