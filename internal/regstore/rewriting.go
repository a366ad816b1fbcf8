package regstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// The document that says who rewrites. It has neither seq nor pending, so that
// queries for entries leave it out. Its update time is when the lease was
// renewed.
const (
	rewritingID   = "rewriting"
	fieldLeaseFor = "lease_ms"
)

// leaseFields are ours.
var leaseFields = []string{fieldHolder, fieldLeaseFor, fieldUpdatedAt, fieldFormat}

// leaseFormat is the format of the lease.
const leaseFormat = 1

func (s *Store) leaseName() string { return s.db.Name(LedgerCollection, rewritingID) }

// LeaseJob implements ownership.Rewriter. Where nothing is pending it costs the
// one read that a query is billed at least.
func (s *Store) LeaseJob(ctx context.Context, holder string, lease time.Duration, except ...int64) (ownership.Job, error) {
	pending, err := s.firstPending(ctx, except)
	if err != nil {
		return ownership.Job{}, fmt.Errorf("lease a job: %w", err)
	}
	if pending == nil {
		return ownership.Job{}, ownership.ErrNoJob
	}
	ctx, done := s.telemetry.start(ctx, "lease_job", 1)
	job, err := s.leaseJob(ctx, pending, holder, lease)
	if errors.Is(err, ownership.ErrNoJob) { // another worker has it
		done(nil)
	} else {
		done(err)
	}
	return job, err
}

// firstPending is the pending entry whose change was committed first, of those
// that are understood, may be tried now and are not among the positions in except;
// nil if there is none.
func (s *Store) firstPending(ctx context.Context, except []int64) (*docdb.Document, error) {
	const most = 100
	var now time.Time
	limit := 1 + min(len(except), most)
	for after := int64(0); ; limit = most {
		pending, err := s.queryLedger(ctx, fieldPending, after, limit, time.Time{})
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
			if e.Unread == nil && !slices.Contains(except, after) && !now.Before(e.Rewriting.RetryAt) {
				return d, nil
			}
		}
		if len(pending) < limit {
			return nil, nil
		}
	}
}

func (s *Store) leaseJob(ctx context.Context, pending *docdb.Document, holder string, lease time.Duration) (ownership.Job, error) {
	documents, now, err := s.get(ctx, []string{s.leaseName()})
	if err != nil {
		return ownership.Job{}, fmt.Errorf("lease a job: %w", err)
	}
	held := documents[s.leaseName()]
	if h := held.GetFields()[fieldHolder].GetStringValue(); h != "" && h != holder {
		length := time.Duration(held.Fields[fieldLeaseFor].GetIntegerValue()) * time.Millisecond
		if now.Before(held.UpdateTime.AsTime().Add(length)) {
			return ownership.Job{}, ownership.ErrNoJob
		}
	}
	if _, err := decodeFormat(held); err != nil {
		return ownership.Job{}, fmt.Errorf("lease a job: %w", s.tooNew(ctx, "ledger", ownership.TooNew(shortName(s.leaseName()), err)))
	}
	// What this process knows of the ledger may be from before the change.
	ledger, err := s.refreshLedger(ctx)
	if err == nil {
		err = cmp.Or(ledger.Blocked(), s.mayWrite(ctx))
	}
	if err != nil {
		return ownership.Job{}, fmt.Errorf("lease a job: %w", err)
	}
	entry := decodeLedgerEntry(pending)
	if now.Before(entry.Rewriting.RetryAt) { // by the store's clock
		return ownership.Job{}, ownership.ErrNoJob
	}
	entry.Rewriting = entry.Rewriting.Leased(holder, now, pending.UpdateTime.AsTime())
	job, err := s.putJob(ctx, ownership.Job{Entry: entry, Lease: lease}, docdb.AsRead(pending), docdb.AsRead(held))
	if docdb.LostTheRace(err) {
		return ownership.Job{}, ownership.ErrNoJob
	}
	if err != nil {
		return ownership.Job{}, fmt.Errorf("lease a job: %w", err)
	}
	return job, nil
}

// SaveJob implements ownership.Rewriter.
func (s *Store) SaveJob(ctx context.Context, job ownership.Job) (ownership.Job, error) {
	if _, err := s.freshLedger(ctx); err != nil { // this process may still write
		return job, fmt.Errorf("save the rewriting for %s: %w", job.Entry.ID, err)
	}
	job.Entry.Rewriting = job.Entry.Rewriting.Saved(job.Now) // the times are refined by the commit
	saved, err := s.putJob(ctx, job,
		docdb.Condition{Updated: job.Revision[0]}, docdb.Condition{Updated: job.Revision[1]})
	if docdb.LostTheRace(err) {
		return job, fmt.Errorf("rewriting for %s: %w", job.Entry.ID, ownership.ErrLeaseLost)
	}
	if err != nil {
		return job, fmt.Errorf("save the rewriting for %s: %w", job.Entry.ID, err)
	}
	return saved, nil
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

// putJob writes the entry's job and the lease, both on the condition that they
// are as they were read. The job's times are the server's.
func (s *Store) putJob(ctx context.Context, job ownership.Job, entry, lease docdb.Condition) (ownership.Job, error) {
	r := job.Entry.Rewriting
	holder := ""
	if r.State == ownership.RewritingRunning {
		holder = r.Holder
	}
	times := []string{fieldRewriting + "." + fieldUpdatedAt}
	if r.State == ownership.RewritingDone {
		times = append(times, fieldRewriting+"."+fieldFinishedAt)
	}
	receipt, err := s.commit(ctx, time.Now().Add(s.commitDeadline),
		docdb.Write{
			Name: s.ledgerName(job.Entry.EventName()), Fields: jobFields(job.Entry), Mask: jobMask(), Times: times, If: entry,
		},
		docdb.Write{
			Name: s.leaseName(),
			Fields: map[string]*docdb.Value{
				fieldHolder:    docdb.Text(holder),
				fieldLeaseFor:  docdb.Integer(job.Lease.Milliseconds()),
				fieldFormat:    docdb.Integer(leaseFormat),
				fieldUpdatedAt: docdb.Null(), // so that every renewal is a change
			},
			Mask:  leaseFields,
			Times: []string{fieldUpdatedAt},
			If:    lease,
		})
	if err != nil {
		return job, err
	}
	job.Now, job.Revision = receipt.At, [2]time.Time{receipt.Updated[0], receipt.Updated[1]}
	job.Entry.Rewriting.UpdatedAt = receipt.At
	return job, nil
}

// Rewrite implements ownership.Rewriter.
func (s *Store) Rewrite(ctx context.Context, records []ownership.Record) (written int, err error) {
	ctx, done := s.telemetry.start(ctx, "rewrite", len(records))
	defer func() { done(err) }()
	ledger, err := s.ledgerFor(ctx, records)
	if err != nil {
		return 0, fmt.Errorf("rewrite: %w", err)
	}
	b := &batch{store: s, outcomes: nil}
	var targets []*target
	var foldable []ownership.Record
	var unread error
	for _, r := range records {
		if r.Resource == (registry.Resource{}) {
			continue
		}
		if err := r.Unfoldable(ledger.Ledger); err != nil {
			unread = err
			continue
		}
		targets = append(targets, &target{resource: r.Resource})
		foldable = append(foldable, r)
	}
	left, _ := b.write(ctx, targets, foldable, ledger, docdb.MaxWrites/2) // what failed is read again
	if len(left) > 0 {
		if err := b.merge(ctx, left); err != nil {
			return int(b.written.Load()), fmt.Errorf("rewrite: %w", err)
		}
	}
	return int(b.written.Load()), named("rewrite", unread)
}

// WriterHorizon implements ownership.Rewriter.
func (s *Store) WriterHorizon() time.Duration {
	return s.ledgerStaleness + s.commitDeadline
}
