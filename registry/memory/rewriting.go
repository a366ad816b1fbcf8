package memory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
)

// lease says who rewrites.
type lease struct {
	holder     string
	length     time.Duration
	updateTime time.Time
}

// ClaimJob implements registry.Rewriter.
func (s *Store) ClaimJob(ctx context.Context, holder string, length time.Duration, except ...int64) (registry.Job, error) {
	if err := ctx.Err(); err != nil {
		return registry.Job{}, fmt.Errorf("claim a job: %w", unavailable(err))
	}
	if err := s.interrupt(Commit); err != nil {
		return registry.Job{}, fmt.Errorf("claim a job: %w", err)
	}
	if err := s.mayWrite(); err != nil {
		return registry.Job{}, fmt.Errorf("claim a job: %w", err)
	}
	job, err := s.claimJob(holder, length, except, s.o.Omit.Order)
	if err != nil {
		return registry.Job{}, err
	}
	if err := s.interrupt(Answer); err != nil {
		return registry.Job{}, fmt.Errorf("claim a job: %w", err)
	}
	// What was known of the ledger may be from before the change.
	ledger, err := s.refreshLedger()
	if err != nil {
		return registry.Job{}, fmt.Errorf("claim a job: %w", err)
	}
	s.began = ledger.Ledger
	return job, nil
}

func (d *database) claimJob(holder string, length time.Duration, except []int64, anyOrder bool) (registry.Job, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	pending := slices.DeleteFunc(d.moves(), func(e registry.LedgerEntry) bool {
		others := e.Rewriting.State == registry.RewritingRunning && e.Rewriting.Holder != holder &&
			d.clock().Before(e.Rewriting.UpdatedAt.Add(length))
		return !e.Rewriting.Pending() || e.Unread != nil || slices.Contains(except, e.Seq) || anyOrder && others
	})
	slices.SortFunc(pending, func(a, b registry.LedgerEntry) int { return int(a.Seq - b.Seq) })
	if anyOrder {
		slices.Reverse(pending)
	}
	held := d.lease.holder != "" && d.lease.holder != holder && d.clock().Before(d.lease.updateTime.Add(d.lease.length))
	if len(pending) == 0 || held && !anyOrder {
		return registry.Job{}, registry.ErrNoJob
	}
	if err := d.ledger.Blocked(); err != nil {
		return registry.Job{}, fmt.Errorf("claim a job: %w", err)
	}
	entry := pending[0]
	entry.Rewriting = entry.Rewriting.Claimed(holder, d.clock(), d.entries[entry.EventName()].updateTime)
	return d.putJob(registry.Job{Entry: entry, Lease: length}), nil
}

// SaveJob implements registry.Rewriter.
func (s *Store) SaveJob(ctx context.Context, job registry.Job) (registry.Job, error) {
	if err := ctx.Err(); err != nil {
		return job, fmt.Errorf("save a job: %w", unavailable(err))
	}
	if err := s.interrupt(Commit); err != nil {
		return job, fmt.Errorf("save a job: %w", err)
	}
	if err := s.mayWrite(); err != nil {
		return job, fmt.Errorf("save a job: %w", err)
	}
	saved, err := s.saveJob(job, s.o.Omit.Order)
	if err != nil {
		return job, err
	}
	if err := s.interrupt(Answer); err != nil {
		return job, fmt.Errorf("save a job: %w", err)
	}
	return saved, nil
}

func (d *database) saveJob(job registry.Job, anyOrder bool) (registry.Job, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	stored := d.entries[job.Entry.EventName()]
	if !stored.updateTime.Equal(job.Revision[0]) || !d.lease.updateTime.Equal(job.Revision[1]) && !anyOrder {
		return job, fmt.Errorf("rewriting for %s: %w", job.Entry.ID, registry.ErrLeaseLost)
	}
	job.Entry.Rewriting = job.Entry.Rewriting.Saved(d.clock())
	return d.putJob(job), nil
}

// putJob stores the job and renews the lease, or gives it back.
func (d *database) putJob(job registry.Job) registry.Job {
	at := d.tick()
	d.entries[job.Entry.EventName()] = ledgerDocument{job.Entry, at}
	d.lease = lease{length: job.Lease, updateTime: at}
	if job.Entry.Rewriting.State == registry.RewritingRunning {
		d.lease.holder = job.Entry.Rewriting.Holder
	}
	job.Now, job.Revision = at, [2]time.Time{at, at}
	return job
}

// Affected implements registry.Rewriter.
func (s *Store) Affected(ctx context.Context, page registry.Page) ([]registry.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read affected documents: %w", unavailable(err))
	}
	if err := s.interrupt(ReadRecord); err != nil {
		return nil, fmt.Errorf("read affected documents: %w", err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var records []registry.Record
	for _, name := range s.affected(page.Tenants, s.o.Omit.PathQuery) {
		if name > page.After && len(records) < page.Limit {
			records = append(records, s.recordLocked(name))
		}
	}
	return records, nil
}

// CountAffected implements registry.Rewriter.
func (s *Store) CountAffected(ctx context.Context, tenants []string) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("count affected documents: %w", unavailable(err))
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return int64(len(s.affected(tenants, false))), nil
}

func (d *database) affected(tenants []string, byTenantOnly bool) []string {
	var names []string
	for name, doc := range d.documents {
		onPath := slices.ContainsFunc(doc.path, func(t string) bool { return slices.Contains(tenants, t) })
		if slices.Contains(tenants, doc.tenantID) || onPath && !byTenantOnly {
			names = append(names, name)
		}
	}
	return slices.Sorted(slices.Values(names))
}

// Rewrite implements registry.Rewriter.
func (s *Store) Rewrite(ctx context.Context, records []registry.Record) (written int, err error) {
	var unread error
	for _, record := range records {
		if record.Resource == (registry.Resource{}) {
			continue
		}
		wrote, err := s.rewrite(ctx, record)
		if errors.Is(err, registry.ErrTooNew) {
			unread = err // the others are not held up
			continue
		}
		if err != nil {
			return written, fmt.Errorf("rewrite %s: %w", record.Resource, err)
		}
		if wrote {
			written++
		}
	}
	return written, unread
}

func (s *Store) rewrite(ctx context.Context, record registry.Record) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, unavailable(err)
	}
	ledger, err := s.freshLedger()
	if err != nil {
		return false, err
	}
	if s.o.Omit.Fresh {
		ledger.Ledger = s.began
	}
	if record.LedgerSeq > ledger.Seq() {
		if ledger, err = s.refreshLedger(); err != nil {
			return false, err
		}
	}
	if err := record.Unfoldable(ledger.Ledger); err != nil {
		return false, err
	}
	update := record.Update(nil, ledger.Ledger)
	if !update.Write || s.o.Omit.PathWrite && update.TenantID == record.TenantID {
		return false, nil
	}
	if err := s.commit(record, update, ledger); err != nil {
		_, err = s.merge(ctx, record.Resource, nil) // read again, for a lost race as for a lost answer
		return err == nil, err
	}
	return true, nil
}

// Settling implements registry.Rewriter.
func (s *Store) Settling() time.Duration {
	if s.o.Omit.LastPass {
		return 0
	}
	return s.o.LedgerStaleness + s.o.CommitDeadline
}
