// Package rewrite writes owners out into documents after moves of whole tenants,
// for readers that know the documents and nothing of the ledger (design §4).
//
// A move of a tenant is one write to the ledger, and verifiers see it at once.
// Every change of the ledger, a retraction too, queues a job that brings the
// tenant_id of the affected documents, and only of those, to what the fold says.
// Any number of workers may run: one at a time has the lease, and does the jobs
// in the order of ledger commits. A worker that ends gives the lease back; if
// it was killed another takes the job up behind the last progress that was
// stored, once the lease has run out.
//
// # Guarantees
//
// When the last job has ended, every document's tenant_id is the owner by the
// fold, and its path that of the fold, also if it was written while the job
// ran by a process that did not know of the move. docs/moves.md says why. Two
// workers that both think they have the lease do no harm but to each other's
// progress: every write is conditional, and folds with a fresh ledger.
//
// It does not promise how soon: by default it follows Firestore's ramp (package
// internal/governor), and ten million documents take some 45 minutes.
//
// # What is not understood
//
// Documents that this version does not understand (registry.ErrTooNew) are left
// alone. A job that met any is not done: all other documents are rewritten, and
// the job is given back for a worker of a later release. This worker goes on with
// the jobs behind it, and tries it again after a minute, then after two, and so
// on, at least once an hour.
//
// # Failures
//
// A job that fails in any other way, a panic of this version too, is tried again
// after 5 s, then 10 s, and so on, at least once an hour, by whichever worker comes;
// the others go first. After 10 tries that came no further it is parked: `moves list`
// says so, and `moves resume` has it tried again. So an outage parks nothing, unless
// it lasts for about 45 minutes and the ledger can be written meanwhile.
//
// # Passes
//
// A job ends with a pass that begins when no writer can be left that does not
// know of the change: Store.WriterHorizon after its commit. If all documents can
// be done before that, a first pass serves readers sooner.
//
// # Telemetry
//
//   - registry.rewriting.documents (counter, operation: read, write)
//   - registry.rewriting.jobs (counter, outcome: done, interrupted, lease_lost,
//     too_new, panic, error, parked)
//   - registry.rewriting.lag (histogram, seconds from the change's commit to the
//     end of its job)
//   - registry.rewriting.remaining (gauge, documents that the pass which this
//     process is at has still to visit)
//   - log lines at the beginning, at the end, and every 10 s in between
package rewrite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/northstar-engines/realtime-registry/internal/governor"
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

// Worker does jobs, one after the other.
type Worker struct {
	store     ownership.Rewriter
	o         Options
	telemetry *telemetry
	passing   passing
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
// no write of its own is under way, and the lease is given back if the store
// can be had. A store that cannot be had is logged, and asked again.
func (w *Worker) Run(ctx context.Context) {
	const longest = time.Minute
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(w.o.Poll), backoff.WithMultiplier(2),
		backoff.WithMaxInterval(longest), backoff.WithMaxElapsedTime(0))
	for ctx.Err() == nil {
		wait := time.Duration(0)
		err := w.RunNext(ctx)
		switch {
		case err == nil:
			pause.Reset()
		case errors.Is(err, ownership.ErrNoJob), errors.Is(err, ownership.ErrLeaseLost):
			wait = w.o.Poll
			pause.Reset()
		case errors.Is(err, errPassedOver): // others may be behind it
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

// RunNext does one job to its end. Errors: ErrNoJob, ErrLeaseLost, that of ctx,
// or those of the store and *ownership.PanicError, for a panic; the job can be taken
// up again after each of them. If it failed, or met what is not understood
// (registry.ErrTooNew), it is passed over for a while.
func (w *Worker) RunNext(ctx context.Context) (err error) {
	defer recovered(&err)
	leased, err := w.leaseJob(ctx)
	if err != nil {
		return err
	}
	commits, cancel := outlasting(ctx, w.o.Drain)
	defer cancel()
	r := &run{
		Worker:   w,
		commits:  commits,
		job:      leased,
		from:     leased.Entry.Rewriting,
		at:       time.Now(),
		governor: governor.New(w.o.Rate),
		logger: w.o.Logger.With("move", leased.Entry.ID, "source", leased.Entry.Source,
			"from", leased.Entry.From, "to", leased.Entry.To, "retracted", leased.Entry.Retracted()),
	}
	err = r.do(ctx)
	return r.ended(ctx, err)
}

// ended gives the job back after a run, unless it is done, or another worker's, and
// returns why it is not done. What failed is tried again later, as often as is worth
// it; others go first.
func (r *run) ended(ctx context.Context, err error) error {
	outcome := outcome(ctx, err)
	switch outcome {
	case done, leaseLost:
	case interrupted:
		r.release()
	case tooNew:
		r.release()
		again := r.passing.over(r.job.Entry.Position, time.Now())
		r.logger.Error("the rewriting for a move met what this version does not understand: it waits for a release that does, and others go first",
			"error", err, "again_in", again)
		err = fmt.Errorf("%w: %w", errPassedOver, err)
	default:
		if errors.Is(err, errNotSaved) {
			break // nor could it be stored that the run failed
		}
		progress := &r.job.Entry.Rewriting
		*progress = progress.FailedAt(r.now(), err.Error(), progress.Cursor != r.from.Cursor || progress.Last != r.from.Last)
		if progress.Parked() {
			outcome = parked
		}
		if r.fail(err) {
			err = fmt.Errorf("%w: %w", errPassedOver, err)
		}
	}
	r.telemetry.ended(outcome, r.job)
	return err
}

// fail stores that the run failed, and reports whether it could.
func (r *run) fail(why error) (stored bool) {
	progress := r.job.Entry.Rewriting
	level, text := slog.LevelWarn, "the rewriting for a move failed; it is tried again, and others go first"
	if progress.Parked() {
		level, text = slog.LevelError, "the rewriting for a move is parked: find out why, then `moves resume` takes it up"
	}
	r.logger.Log(context.Background(), level, text, "error", why, "stack", stack(why), "tries", progress.Tries, "again_at", progress.RetryAt)
	err := r.save()
	if err != nil {
		r.logger.Warn("that it failed could not be stored; it is taken up again when the lease has run out", "error", err)
	}
	return err == nil
}

// outlasting returns a context that ends so long after ctx.
func outlasting(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(d, cancel) })
	return longer, func() { stop(); cancel() }
}

func (w *Worker) leaseJob(ctx context.Context) (ownership.Job, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return w.store.LeaseJob(ctx, w.o.Holder, w.o.Lease, w.passing.positions(time.Now())...)
}
