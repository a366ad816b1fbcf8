package ownership

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Rewriting is the state of the job that follows a change of the ledger: it
// writes the owner out into the documents that the change affects, for readers
// that know nothing of the ledger (design §4).
type Rewriting struct {
	State RewritingState
	// Tenants says whose documents are affected: those whose path, or whose
	// tenant_id, names one of them.
	Tenants []string
	// Last says that the pass under way is the last one. Cursor is the name of
	// the document up to which all are done in that pass; Ranges are what is left of
	// it, in order, if that is not simply all behind Cursor.
	Last   bool
	Cursor string
	Ranges []Range
	// Total is how many documents were affected when the job began, 0 also if
	// they could not be counted; Passed how many of them the pass under way is
	// done with. Read and Written count over all passes.
	Total, Passed, Read, Written int64
	// Holder is the worker that has, or had, the job.
	Holder string
	// CommittedAt is the commit time of the change; zero until the job was first
	// saved.
	CommittedAt time.Time
	// Tries counts the runs in a row that failed and came no further, Failure is why
	// the last one did, and RetryAt when the next one may begin. ParkedAt is when the
	// job was given up, until Resumed; zero if it was not.
	Tries             int64
	Failure           string
	RetryAt, ParkedAt time.Time
	// When, by the store's clock: zero if it has not happened.
	StartedAt, UpdatedAt, FinishedAt time.Time
}

// RewritingState is how far a job is; the values are stored.
type RewritingState string

// The states.
const (
	RewritingQueued  RewritingState = "queued"
	RewritingRunning RewritingState = "running"
	RewritingDone    RewritingState = "done"
)

// Pending reports whether there is something left to do, even if the job is parked.
func (r Rewriting) Pending() bool {
	return r.State == RewritingQueued || r.State == RewritingRunning
}

// Parked reports whether the job is no longer tried.
func (r Rewriting) Parked() bool { return r.Pending() && !r.ParkedAt.IsZero() }

// How often a job is tried that comes no further, and the pauses between: twice as
// long after each try. So it is parked after about 45 minutes.
const (
	MostTries  = 10
	firstRetry = 5 * time.Second
	mostRetry  = time.Hour
)

// maxFailureBytes bounds what is kept of why a job failed.
const maxFailureBytes = 1 << 10

// FailedAt is the state after a run that failed for a reason which is not known to
// pass: queued for another try, or parked. further reports whether the run came
// further than the one before.
func (r Rewriting) FailedAt(now time.Time, why string, further bool) Rewriting {
	if further {
		r.Tries = 0
	}
	r.State, r.Failure = RewritingQueued, strings.ToValidUTF8(why[:min(len(why), maxFailureBytes)], "")
	r.Tries++
	r.RetryAt = now.Add(min(firstRetry<<(r.Tries-1), mostRetry))
	if r.Tries >= MostTries {
		r.RetryAt, r.ParkedAt = time.Time{}, now
	}
	return r
}

// Resumed is the state of a job that is to be tried again.
func (r Rewriting) Resumed() Rewriting {
	r.State, r.Tries, r.Failure, r.RetryAt, r.ParkedAt = RewritingQueued, 0, "", time.Time{}, time.Time{}
	return r
}

// Range is the documents behind one name, up to another ("": to the last).
type Range struct{ After, UpTo string }

// Left returns the ranges that the pass under way has still to visit.
func (r Rewriting) Left() []Range {
	if len(r.Ranges) > 0 && r.Ranges[0].After == r.Cursor {
		return r.Ranges
	}
	return []Range{{After: r.Cursor}}
}

// TakenUp is the state after a worker has taken the job up, at the store's time.
// What another one has done already counts. The entry was written last at updated:
// if the job has not been saved yet, that was its change.
func (r Rewriting) TakenUp(holder string, now, updated time.Time) Rewriting {
	r.State, r.Holder = RewritingRunning, holder
	if r.StartedAt.IsZero() {
		r.StartedAt = now
	}
	if r.CommittedAt.IsZero() {
		r.CommittedAt = updated
	}
	r.UpdatedAt = now
	return r
}

// Saved is the state with the times at which it is stored.
func (r Rewriting) Saved(now time.Time) Rewriting {
	r.UpdatedAt = now
	if r.State == RewritingDone {
		r = r.Resumed()
		r.State, r.FinishedAt, r.Cursor, r.Ranges, r.Last = RewritingDone, now, "", nil, false
	}
	return r
}

// queue returns the state after a change of the entry, which moved the
// resources of the tenants in before and moves those of the tenants in after.
// What an earlier change left undone is part of the new job: documents that are
// right by the ledger with or without that change are found by its tenants
// still (docs/moves.md).
func (r Rewriting) queue(before, after []string) Rewriting {
	if len(before)+len(after) == 0 && r.State != "" {
		return r // no fold changes
	}
	var tenants []string
	if r.Pending() {
		tenants = slices.Clone(r.Tenants)
	}
	tenants = append(append(tenants, before...), after...)
	slices.Sort(tenants)
	tenants = slices.Compact(tenants)
	if len(tenants) == 0 {
		return Rewriting{State: RewritingDone} // it never counted
	}
	return Rewriting{State: RewritingQueued, Tenants: tenants}
}

// Job is the rewriting of one ledger entry, as a worker has it.
type Job struct {
	Entry LedgerEntry // Rewriting is what SaveJob stores
	// Now is the store's time at which the job was last saved.
	Now time.Time
	// Revision is when the entry was last written: it must not have changed when the
	// job is saved.
	Revision time.Time
}

// Lease says who does the jobs: one worker at a time.
type Lease struct {
	Holder string        // "" if the lease is free
	For    time.Duration // from Now on
	Now    time.Time     // when it was taken or renewed, by the store's clock
	// Pace is what the holder has measured. The next holder of the lease goes on from
	// there.
	Pace Pace
}

// Pace is how fast the rewriting goes.
type Pace struct {
	// PerSecond is how many documents a second the governor allows. Done is how many
	// were worked on in its period, which has lasted for Elapsed.
	PerSecond float64
	Done      int64
	Elapsed   time.Duration
	// Had is how many documents a second were worked on while there was enough to do
	// for the whole worker, and HadAt when that was last so, by the store's clock;
	// zero if it never was. Governed says that the governor allowed little more.
	Had      float64
	HadAt    time.Time
	Governed bool
}

// What a worker may get.
var (
	// ErrNoJob: there is nothing for it to do.
	ErrNoJob = errors.New("no job")
	// ErrLeaseHeld: another worker has the lease, which has not run out.
	ErrLeaseHeld = fmt.Errorf("%w: another worker has the lease", ErrNoJob)
	// ErrLeaseLost: another worker has the lease by now, or has taken up the job,
	// or the job's ledger entry has changed. Nothing was stored.
	ErrLeaseLost = errors.New("lease lost")
	// ErrNotParked: the job is tried as it is, or there is nothing left to do.
	ErrNotParked = errors.New("not parked")
)

// Page asks for documents that a change of the ledger affects.
type Page struct {
	Tenants []string  // at least one
	After   string    // names of documents greater than this; "" begins
	UpTo    string    // and not greater than this; "": to the last
	Limit   int       // at least 1
	Bytes   int       // as they are stored, about; at least one document. 0: no bound
	At      time.Time // as of this time; zero is now. Stores that keep no past ignore it
}

// Rewriter is what the rewriting takes of a store. Errors wrap ErrUnavailable,
// or are those that a method names.
type Rewriter interface {
	// Lease returns the lease as it is stored. It costs one read.
	Lease(ctx context.Context) (Lease, error)

	// TakeLease takes the lease of all rewriting for a holder, renews it if the
	// holder has it already, and stores the holder's pace. It is granted if it is
	// free, or has run out by the store's clock; else the error is ErrLeaseHeld.
	// Taking it for no time releases it. Documents are right without it: it keeps
	// workers from doing the same twice, and from asking the store together for
	// more than the governor of one allows.
	TakeLease(ctx context.Context, lease Lease) (Lease, error)

	// Jobs returns pending jobs whose change is at a position behind after, at most
	// limit of them, in the order of ledger commits. It passes over entries that are
	// not understood, jobs that are parked or to be tried later, and those at
	// positions that except reports. If it returns any, this process folds with a
	// ledger that was read since. If nothing can be folded with the ledger
	// (Ledger.Blocked), that is the error.
	Jobs(ctx context.Context, after int64, limit int, except func(position int64) bool) ([]Job, error)

	// SaveJob stores the job's Rewriting, on the condition that its entry is as it
	// was. ErrLeaseLost ends the job for this worker.
	SaveJob(ctx context.Context, job Job) (Job, error)

	// ResumeJob has a job that is parked tried again, from where it was. ErrNotParked
	// if it is not.
	ResumeJob(ctx context.Context, event EventName) error

	// Affected returns documents on whose path, or in whose tenant_id, one of
	// the tenants is, in the order of their names' bytes. more reports whether there
	// may be others behind them.
	Affected(ctx context.Context, page Page) (records []Record, more bool, err error)

	// CountAffected counts the documents that Affected would return in all. Of more
	// tenants than one query asks for (15 of Firestore's) a document may be counted
	// more than once.
	CountAffected(ctx context.Context, tenants []string) (int64, error)

	// Rewrite brings documents to what the fold says: tenant_id, path and
	// history, if one of them differs. It folds with a ledger that was read
	// after Jobs found the job. Records that have changed since they were read
	// are read again. Those that cannot be folded are left alone; the others are
	// written, and the error wraps ErrTooNew.
	Rewrite(ctx context.Context, records []Record) (written int, err error)

	// WriterHorizon is how long after a change of the ledger was committed a writer
	// that did not know of it may still commit a document.
	WriterHorizon() time.Duration
}
