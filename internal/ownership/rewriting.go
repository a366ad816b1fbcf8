package ownership

import (
	"context"
	"errors"
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
	// the document up to which that pass has come.
	Last   bool
	Cursor string
	// Total is how many documents were affected when the job began, 0 also if
	// they could not be counted; Passed how many of them the pass under way is
	// done with. Read and Written count over all passes.
	Total, Passed, Read, Written int64
	// Holder is the worker that has, or had, the job.
	Holder string
	// CommittedAt is the commit time of the change; zero until the job was first
	// leased.
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

// Pending reports whether there is something left to do, also if the job is parked.
func (r Rewriting) Pending() bool {
	return r.State == RewritingQueued || r.State == RewritingRunning
}

// Parked reports whether nobody tries the job any more.
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

// Resumed is the state of a job that somebody wants tried again.
func (r Rewriting) Resumed() Rewriting {
	r.State, r.Tries, r.Failure, r.RetryAt, r.ParkedAt = RewritingQueued, 0, "", time.Time{}, time.Time{}
	return r
}

// Leased is the state after a worker has taken the job, at the store's time.
// What another one has done already counts. The entry was written last at
// updated: at the first claim that was its change.
func (r Rewriting) Leased(holder string, now, updated time.Time) Rewriting {
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
		r.State, r.FinishedAt, r.Cursor, r.Last = RewritingDone, now, "", false
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

// Job is the rewriting of one ledger entry, as the worker that holds it has it.
type Job struct {
	Entry LedgerEntry // Rewriting is what SaveJob stores
	// Now is the store's time at which the job was leased or last saved.
	Now time.Time
	// Lease is how long after Now the job stays the holder's.
	Lease time.Duration
	// Revision is the store's own: what must not have changed when it is saved.
	Revision [2]time.Time
}

// What the holder of a job may get.
var (
	// ErrNoJob: nothing is pending, or another worker has the lease.
	ErrNoJob = errors.New("no job")
	// ErrLeaseLost: the job is somebody else's by now, or the ledger entry has
	// changed. Nothing was stored.
	ErrLeaseLost = errors.New("lease lost")
	// ErrNotParked: the job is tried as it is, or there is nothing left to do.
	ErrNotParked = errors.New("not parked")
)

// Page asks for documents that a change of the ledger affects.
type Page struct {
	Tenants []string  // at least one
	After   string    // names of documents greater than this; "" begins
	Limit   int       // at least 1
	Bytes   int       // as they are stored, about; at least one document. 0: no bound
	At      time.Time // as of this time; zero is now. Stores that keep no past ignore it
}

// Rewriter is what the rewriting takes of a store. Errors wrap ErrUnavailable,
// or are those that a method names.
type Rewriter interface {
	// LeaseJob takes the lease of all rewriting, and the pending job whose
	// change was committed first: there is one job at a time, in the order of
	// ledger commits. It is given if nobody has the lease, if it has run
	// out by the store's clock, or if the holder asks again; else, and if
	// nothing is pending, the error is ErrNoJob. Entries that are not understood
	// are passed over, and so are jobs that are parked or to be tried later, and
	// changes at the positions in except: their jobs are for who understands more. If nothing can be folded with the ledger
	// (Ledger.Blocked), no job is taken.
	LeaseJob(ctx context.Context, holder string, lease time.Duration, except ...int64) (Job, error)

	// SaveJob stores the job's Rewriting and renews the lease, in one commit. A
	// state other than running gives the lease back. ErrLeaseLost ends the job
	// for this holder.
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
	// after the call of LeaseJob. Records that have changed since they were read
	// are read again. Those that cannot be folded are left alone; the others are
	// written, and the error wraps ErrTooNew.
	Rewrite(ctx context.Context, records []Record) (written int, err error)

	// WriterHorizon is how long after a change of the ledger was committed a writer
	// that did not know of it may still commit a document.
	WriterHorizon() time.Duration
}
