package rewrite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

const (
	saveEvery   = 2 * time.Second // how much a kill can undo
	logEvery    = 10 * time.Second
	callTimeout = 30 * time.Second // a connection that died in silence is no reason to stand still
	pageBytes   = 32 << 20         // of one page, as it is stored
	atOnce      = 500              // documents in one call of Rewrite
)

// run is one job, held by this worker.
type run struct {
	*Worker
	commits  context.Context // of all that writes: a commit under way is not cut off when the worker ends
	job      ownership.Job
	from     ownership.Rewriting // as this worker took it up
	at       time.Time           // when job.Now was learned, by this process's clock
	logged   time.Time
	unread   error // of documents that the last pass had to leave alone
	governor *governor.Governor
	logger   *slog.Logger
}

func (r *run) do(ctx context.Context) (err error) {
	defer recovered(&err)
	r.begin(ctx)
	progress := &r.job.Entry.Rewriting
	if !progress.Last {
		if r.firstPassFits() {
			if err := r.pass(ctx); err != nil {
				return err
			}
		}
		if err := r.awaitHorizon(ctx); err != nil {
			return err
		}
		progress.Last, progress.Cursor, progress.Passed = true, "", 0
		if err := r.save(); err != nil {
			return err
		}
	}
	r.unread = nil // what the first pass left may be read by now
	if err := r.pass(ctx); err != nil {
		return err
	}
	if r.unread != nil {
		progress.Cursor, progress.Passed = "", 0 // for who understands them
		return r.unread
	}
	progress.State = ownership.RewritingDone
	if err := r.save(); err != nil {
		return err
	}
	r.logger.Info("rewriting has ended", "documents", progress.Total, "read", progress.Read, "written", progress.Written,
		"after", r.job.Now.Sub(progress.CommittedAt).Round(time.Millisecond))
	return nil
}

// firstPassFits reports whether all documents can be visited in the time that
// there is to wait.
func (r *run) firstPassFits() bool {
	total, wait := r.job.Entry.Rewriting.Total, r.untilHorizon()
	return total > 0 && wait > 0 && r.o.Rate.Duration(total) <= wait
}

// begin counts what is affected, unless that was done before. The count is for
// display, and for whether a first pass fits: a job is done without it too.
func (r *run) begin(ctx context.Context) {
	progress := &r.job.Entry.Rewriting
	r.logged = time.Now()
	if progress.Total == 0 && progress.Cursor == "" {
		total, err := r.count(ctx)
		if err != nil {
			r.logger.Warn("rewriting begins; how many documents there are is not known", "error", err)
			return
		}
		progress.Total = total
		r.logger.Info("rewriting begins", "documents", total, "at_least", (r.o.Rate.Duration(total) + r.untilHorizon()).Round(time.Millisecond))
		return
	}
	r.logger.Info("rewriting is taken up", "documents", progress.Total, "passed", progress.Passed, "last_pass", progress.Last)
}

func (r *run) count(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, min(callTimeout, r.o.Lease/3))
	defer cancel()
	return r.store.CountAffected(ctx, r.job.Entry.Rewriting.Tenants)
}

// now is the store's time, carried on by this process's clock.
func (r *run) now() time.Time { return r.job.Now.Add(time.Since(r.at)) }

// untilHorizon is how long there may still be writers that do not know of the
// change.
func (r *run) untilHorizon() time.Duration {
	return max(0, r.job.Entry.Rewriting.CommittedAt.Add(r.store.WriterHorizon()).Sub(r.now()))
}

func (r *run) awaitHorizon(ctx context.Context) error {
	for {
		left := r.untilHorizon()
		if left == 0 {
			return nil
		}
		if err := r.save(); err != nil { // where it stands, and the lease
			return err
		}
		if err := sleep(ctx, min(left, r.o.Lease/3)); err != nil {
			return err
		}
	}
}

// pass visits affected documents behind the cursor, to the end.
func (r *run) pass(ctx context.Context) error {
	progress := &r.job.Entry.Rewriting
	for {
		records, more, err := r.read(ctx)
		if err != nil {
			return err
		}
		progress.Read += int64(len(records))
		r.telemetry.read(ctx, len(records))
		for rest := records; len(rest) > 0; {
			n := min(len(rest), r.governor.Chunk(atOnce))
			if err := r.chunk(ctx, rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		if !more {
			return nil
		}
	}
}

// read returns the next page.
func (r *run) read(ctx context.Context) (records []ownership.Record, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	progress := r.job.Entry.Rewriting
	return r.store.Affected(ctx, ownership.Page{Tenants: progress.Tenants, After: progress.Cursor, Limit: r.o.Page, Bytes: pageBytes})
}

// chunk rewrites some documents, and notes that they are done.
func (r *run) chunk(ctx context.Context, records []ownership.Record) error {
	progress := &r.job.Entry.Rewriting
	if err := r.governor.Wait(ctx, len(records)); err != nil {
		return err
	}
	written, err := r.rewrite(records)
	progress.Written += int64(written)
	r.telemetry.written(ctx, written)
	if beyondUs(err) {
		r.unread, err = err, nil // it holds up the end, and no other document
	}
	if err != nil {
		return err
	}
	progress.Passed += int64(len(records))
	progress.Cursor = records[len(records)-1].Document
	r.telemetry.at(max(0, progress.Total-progress.Passed))
	return r.tell()
}

// rewrite rewrites records. Of several that make the store panic, each is tried
// alone: what does not cause it is rewritten.
func (r *run) rewrite(records []ownership.Record) (written int, err error) {
	written, err = r.rewriteTogether(records)
	var panicked *ownership.PanicError
	if !errors.As(err, &panicked) || len(records) == 1 {
		return written, err
	}
	var unread error
	for i := range records {
		n, err := r.rewriteTogether(records[i : i+1])
		written += n
		if err != nil && !beyondUs(err) {
			return written, err
		}
		unread = cmp.Or(unread, err)
	}
	return written, unread
}

func (r *run) rewriteTogether(records []ownership.Record) (written int, err error) {
	defer recovered(&err)
	ctx, cancel := context.WithTimeout(r.commits, callTimeout)
	defer cancel()
	return r.store.Rewrite(ctx, records)
}

// tell stores and logs progress, each now and then.
func (r *run) tell() error {
	now := time.Now()
	if now.Sub(r.logged) >= logEvery {
		r.logged = now
		progress := r.job.Entry.Rewriting
		r.logger.Info("rewriting goes on", "documents", progress.Total, "passed", progress.Passed,
			"written", progress.Written, "last_pass", progress.Last)
	}
	if now.Sub(r.at) < min(saveEvery, r.o.Lease/3) {
		return nil
	}
	return r.save()
}

// errNotSaved: it is not known whether the progress was stored.
var errNotSaved = errors.New("save the progress of the rewriting")

// save stores the progress and renews the lease.
func (r *run) save() error {
	ctx, cancel := context.WithTimeout(r.commits, callTimeout)
	defer cancel()
	saved, err := r.store.SaveJob(ctx, r.job)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotSaved, err)
	}
	r.job, r.at = saved, time.Now()
	return nil
}

// release stores the progress and lets another worker have the job at once.
func (r *run) release() {
	r.job.Entry.Rewriting.State = ownership.RewritingQueued
	if err := r.save(); err != nil {
		r.logger.Warn("the job of rewriting was not given back; another worker takes it up when the lease has run out", "error", err)
		return
	}
	r.logger.Info("rewriting is interrupted; another worker takes it up")
}
