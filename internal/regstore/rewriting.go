package regstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// Jobs implements ownership.Rewriter. If nothing is pending it costs the one
// read that a query is billed at least.
func (s *Store) Jobs(ctx context.Context, after int64, limit int, except func(position int64) bool) ([]ownership.Job, error) {
	jobs, err := s.pendingJobs(ctx, after, limit, except)
	if err != nil {
		return nil, fmt.Errorf("look for jobs: %w", err)
	}
	if len(jobs) == 0 {
		return nil, nil
	}
	// What this process knows of the ledger may be from before their changes.
	ledger, err := s.refreshLedger(ctx)
	if err == nil {
		err = cmp.Or(ledger.Blocked(), s.mayWrite(ctx))
	}
	if err != nil {
		return nil, fmt.Errorf("look for jobs: %w", err)
	}
	return jobs, nil
}

func (s *Store) pendingJobs(ctx context.Context, after int64, limit int, except func(position int64) bool) (jobs []ownership.Job, err error) {
	var now time.Time
	for page := limit; ; page = max(page, 100) {
		pending, err := s.queryLedger(ctx, fieldPending, after, page, time.Time{})
		if err != nil {
			return nil, err
		}
		for _, d := range pending {
			after = d.Fields[fieldPending].GetIntegerValue()
			e := s.decodeLedgerEntry(ctx, d)
			if now.IsZero() && !e.Rewriting.RetryAt.IsZero() { // which is by the store's clock
				if _, now, err = s.get(ctx, []string{s.leaseName()}); err != nil {
					return nil, err
				}
			}
			if e.Unread != nil || except(after) || now.Before(e.Rewriting.RetryAt) {
				continue
			}
			if jobs = append(jobs, ownership.Job{Entry: e, Revision: d.UpdateTime.AsTime()}); len(jobs) == limit {
				return jobs, nil
			}
		}
		if len(pending) < page {
			return jobs, nil
		}
	}
}

// SaveJob implements ownership.Rewriter. The job's times are the server's.
func (s *Store) SaveJob(ctx context.Context, job ownership.Job) (ownership.Job, error) {
	if _, err := s.freshLedger(ctx); err != nil { // this process may still write
		return job, fmt.Errorf("save the rewriting for %s: %w", job.Entry.ID, err)
	}
	job.Entry.Rewriting = job.Entry.Rewriting.Saved(job.Now) // the times are refined by the commit
	times := []string{fieldRewriting + "." + fieldUpdatedAt}
	if job.Entry.Rewriting.State == ownership.RewritingDone {
		times = append(times, fieldRewriting+"."+fieldFinishedAt)
	}
	receipt, err := s.commit(ctx, time.Now().Add(s.commitDeadline), docdb.Write{
		Name: s.ledgerName(job.Entry.EventName()), Fields: jobFields(job.Entry), Mask: jobMask(), Times: times,
		If: docdb.Condition{Updated: job.Revision},
	})
	if docdb.LostTheRace(err) {
		return job, fmt.Errorf("rewriting for %s: %w", job.Entry.ID, ownership.ErrLeaseLost)
	}
	if err != nil {
		return job, fmt.Errorf("save the rewriting for %s: %w", job.Entry.ID, err)
	}
	job.Now, job.Revision = receipt.At, receipt.Updated[0]
	job.Entry.Rewriting.UpdatedAt = receipt.At
	return job, nil
}

// ResumeJob implements ownership.Rewriter.
func (s *Store) ResumeJob(ctx context.Context, event ownership.EventName) error {
	name := s.ledgerName(event)
	err := errors.New("gave up after too many conflicting writes")
	for range s.attempts(ctx) {
		if _, err = s.freshLedger(ctx); err != nil { // this process may still write
			break
		}
		var documents map[string]*docdb.Document
		if documents, _, err = s.get(ctx, []string{name}); err != nil {
			break
		}
		entry := s.decodeLedgerEntry(ctx, documents[name])
		if entry.Unread != nil {
			return entry.Unread
		}
		if !entry.Rewriting.Parked() {
			return fmt.Errorf("resume the rewriting for %s: %w", event.ID, ownership.ErrNotParked)
		}
		entry.Rewriting = entry.Rewriting.Resumed()
		_, err = s.commit(ctx, time.Now().Add(s.commitDeadline), docdb.Write{
			Name: name, Fields: jobFields(entry), Mask: jobMask(), If: docdb.AsRead(documents[name]),
		})
		if !docdb.LostTheRace(err) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("resume the rewriting for %s: %w", event.ID, asUnavailable(err))
	}
	return nil
}

// Rewrite implements ownership.Rewriter.
func (s *Store) Rewrite(ctx context.Context, records []ownership.Record) (written int, err error) {
	ctx, done := s.telemetry.start(ctx, "rewrite", len(records))
	defer func() { done(err) }()
	ledger, err := s.ledgerFor(ctx, records)
	if err != nil {
		return 0, fmt.Errorf("rewrite: %w", err)
	}
	rewritten, err := s.rewrite(ctx, "rewrite", records, ledger, nil)
	return rewritten.Written, err
}

// WriterHorizon implements ownership.Rewriter.
func (s *Store) WriterHorizon() time.Duration {
	return s.ledgerStaleness + s.commitDeadline
}
