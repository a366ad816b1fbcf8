package firestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/timestamppb"

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

func (s *Store) leaseName() string { return s.document(LedgerCollection, rewritingID) }

// ClaimJob implements registry.Rewriter. Where nothing is pending it costs the
// one read that a query is billed at least.
func (s *Store) ClaimJob(ctx context.Context, holder string, lease time.Duration, except ...int64) (registry.Job, error) {
	pending, err := s.firstPending(ctx, except)
	if err != nil {
		return registry.Job{}, fmt.Errorf("claim a job: %w", err)
	}
	if pending == nil {
		return registry.Job{}, registry.ErrNoJob
	}
	ctx, done := s.telemetry.start(ctx, "claim_job", 1)
	job, err := s.claimJob(ctx, pending, holder, lease)
	if errors.Is(err, registry.ErrNoJob) { // another worker has it
		done(nil)
	} else {
		done(err)
	}
	return job, err
}

// firstPending is the pending entry whose change was committed first, of those
// that are understood and not among the positions in except; nil if there is none.
func (s *Store) firstPending(ctx context.Context, except []int64) (*firestorepb.Document, error) {
	const most = 100
	limit := int32(1 + min(len(except), most))
	for after := int64(0); ; limit = most {
		pending, err := s.queryLedger(ctx, fieldPending, after, limit, time.Time{})
		if err != nil {
			return nil, err
		}
		for _, d := range pending {
			after = d.Fields[fieldPending].GetIntegerValue()
			if e := s.decodeLedgerEntry(ctx, d); e.Unread == nil && !slices.Contains(except, after) {
				return d, nil
			}
		}
		if len(pending) < int(limit) {
			return nil, nil
		}
	}
}

func (s *Store) claimJob(ctx context.Context, pending *firestorepb.Document, holder string, lease time.Duration) (registry.Job, error) {
	documents, now, err := s.batchGet(ctx, []string{s.leaseName()})
	if err != nil {
		return registry.Job{}, fmt.Errorf("claim a job: %w", err)
	}
	held := documents[s.leaseName()]
	if h := held.GetFields()[fieldHolder].GetStringValue(); h != "" && h != holder {
		length := time.Duration(held.Fields[fieldLeaseFor].GetIntegerValue()) * time.Millisecond
		if now.Before(held.UpdateTime.AsTime().Add(length)) {
			return registry.Job{}, registry.ErrNoJob
		}
	}
	if _, err := decodeFormat(held); err != nil {
		return registry.Job{}, fmt.Errorf("claim a job: %w", s.tooNew(ctx, "ledger", registry.TooNew(shortName(s.leaseName()), err)))
	}
	// What this process knows of the ledger may be from before the change.
	ledger, err := s.refreshLedger(ctx)
	if err == nil {
		err = cmp.Or(ledger.Blocked(), s.mayWrite(ctx))
	}
	if err != nil {
		return registry.Job{}, fmt.Errorf("claim a job: %w", err)
	}
	entry := decodeLedgerEntry(pending)
	entry.Rewriting = entry.Rewriting.Claimed(holder, now, pending.UpdateTime.AsTime())
	job, err := s.putJob(ctx, registry.Job{Entry: entry, Lease: lease}, pending, held)
	if errorIsLostRace(err) {
		return registry.Job{}, registry.ErrNoJob
	}
	if err != nil {
		return registry.Job{}, fmt.Errorf("claim a job: %w", err)
	}
	return job, nil
}

// SaveJob implements registry.Rewriter.
func (s *Store) SaveJob(ctx context.Context, job registry.Job) (registry.Job, error) {
	if _, err := s.freshLedger(ctx); err != nil { // this process may still write
		return job, fmt.Errorf("save the rewriting for %s: %w", job.Entry.ID, err)
	}
	job.Entry.Rewriting = job.Entry.Rewriting.Saved(job.Now) // the times are refined by the commit
	saved, err := s.putJob(ctx, job,
		&firestorepb.Document{UpdateTime: timestamppb.New(job.Revision[0])}, &firestorepb.Document{UpdateTime: timestamppb.New(job.Revision[1])})
	if errorIsLostRace(err) {
		return job, fmt.Errorf("rewriting for %s: %w", job.Entry.ID, registry.ErrLeaseLost)
	}
	if err != nil {
		return job, fmt.Errorf("save the rewriting for %s: %w", job.Entry.ID, err)
	}
	return saved, nil
}

// putJob writes the entry's job and the lease, both on the condition that they
// are as they were read. The job's times are the server's.
func (s *Store) putJob(ctx context.Context, job registry.Job, entry, lease *firestorepb.Document) (registry.Job, error) {
	r := job.Entry.Rewriting
	holder := ""
	if r.State == registry.RewritingRunning {
		holder = r.Holder
	}
	transforms := []*firestorepb.DocumentTransform_FieldTransform{commitTime(fieldRewriting + "." + fieldUpdatedAt)}
	if r.State == registry.RewritingDone {
		transforms = append(transforms, commitTime(fieldRewriting+"."+fieldFinishedAt))
	}
	at, err := s.commit(ctx, time.Now().Add(s.commitDeadline),
		&firestorepb.Write{
			Operation: &firestorepb.Write_Update{Update: &firestorepb.Document{
				Name:   s.ledgerName(job.Entry.EventName()),
				Fields: jobFields(job.Entry),
			}},
			UpdateMask:       &firestorepb.DocumentMask{FieldPaths: jobMask()},
			UpdateTransforms: transforms,
			CurrentDocument:  asRead(entry),
		},
		&firestorepb.Write{
			Operation: &firestorepb.Write_Update{Update: &firestorepb.Document{
				Name: s.leaseName(),
				Fields: map[string]*firestorepb.Value{
					fieldHolder:    text(holder),
					fieldLeaseFor:  integer(job.Lease.Milliseconds()),
					fieldFormat:    integer(leaseFormat),
					fieldUpdatedAt: {ValueType: &firestorepb.Value_NullValue{}}, // so that every renewal is a change
				},
			}},
			UpdateMask:       ours(lease, leaseFields),
			UpdateTransforms: []*firestorepb.DocumentTransform_FieldTransform{commitTime(fieldUpdatedAt)},
			CurrentDocument:  asRead(lease),
		})
	if err != nil {
		return job, err
	}
	job.Now, job.Revision = at, [2]time.Time{at, at}
	job.Entry.Rewriting.UpdatedAt = at
	return job, nil
}

// Affected implements registry.Rewriter.
func (s *Store) Affected(ctx context.Context, page registry.Page) (_ []registry.Record, err error) {
	ctx, done := s.telemetry.start(ctx, "affected", page.Limit)
	defer func() { done(err) }()
	after := ""
	if page.After != "" {
		after = s.document(Collection, page.After)
	}
	query := s.byName(affected(page.Tenants), after)
	query.Limit = limit(page.Limit)
	documents, err := s.query(ctx, query, page.At)
	if err != nil {
		return nil, fmt.Errorf("read affected documents: %w", err)
	}
	records := make([]registry.Record, len(documents))
	for i, d := range documents {
		records[i] = s.decode(ctx, d)
	}
	return records, nil
}

// CountAffected implements registry.Rewriter. One read is billed for up to 1,000
// documents.
func (s *Store) CountAffected(ctx context.Context, tenants []string) (_ int64, err error) {
	ctx, done := s.telemetry.start(ctx, "count_affected", 0)
	defer func() { done(err) }()
	return s.count(ctx, affected(tenants))
}

// count counts the documents of resources that a filter, nil for all, lets pass.
func (s *Store) count(ctx context.Context, where *firestorepb.StructuredQuery_Filter) (int64, error) {
	const alias = "n"
	stream, err := s.client.RunAggregationQuery(s.outgoing(ctx), &firestorepb.RunAggregationQueryRequest{
		Parent: s.database + "/documents",
		QueryType: &firestorepb.RunAggregationQueryRequest_StructuredAggregationQuery{
			StructuredAggregationQuery: &firestorepb.StructuredAggregationQuery{
				QueryType: &firestorepb.StructuredAggregationQuery_StructuredQuery{StructuredQuery: s.byName(where, "")},
				Aggregations: []*firestorepb.StructuredAggregationQuery_Aggregation{{
					Alias:    alias,
					Operator: &firestorepb.StructuredAggregationQuery_Aggregation_Count_{Count: &firestorepb.StructuredAggregationQuery_Aggregation_Count{}},
				}},
			}},
	})
	if err != nil {
		return 0, unavailable("count documents", err)
	}
	response, err := stream.Recv()
	if err != nil {
		return 0, unavailable("count documents", err)
	}
	return response.GetResult().GetAggregateFields()[alias].GetIntegerValue(), nil
}

// affected is the filter for documents with one of the tenants on their path,
// or, where a plain set left no path or a wrong one, in their tenant_id. Each
// document is found, and billed, once.
func affected(tenants []string) *firestorepb.StructuredQuery_Filter {
	var filters []*firestorepb.StructuredQuery_Filter
	for _, t := range tenants {
		filters = append(filters,
			fieldFilter(fieldPath, firestorepb.StructuredQuery_FieldFilter_ARRAY_CONTAINS, t),
			fieldFilter(fieldTenantID, firestorepb.StructuredQuery_FieldFilter_EQUAL, t))
	}
	return &firestorepb.StructuredQuery_Filter{FilterType: &firestorepb.StructuredQuery_Filter_CompositeFilter{
		CompositeFilter: &firestorepb.StructuredQuery_CompositeFilter{
			Op:      firestorepb.StructuredQuery_CompositeFilter_OR,
			Filters: filters,
		}}}
}

func fieldFilter(field string, op firestorepb.StructuredQuery_FieldFilter_Operator, value string) *firestorepb.StructuredQuery_Filter {
	return &firestorepb.StructuredQuery_Filter{FilterType: &firestorepb.StructuredQuery_Filter_FieldFilter{
		FieldFilter: &firestorepb.StructuredQuery_FieldFilter{
			Field: &firestorepb.StructuredQuery_FieldReference{FieldPath: field},
			Op:    op,
			Value: text(value),
		}}}
}

// Rewrite implements registry.Rewriter.
func (s *Store) Rewrite(ctx context.Context, records []registry.Record) (written int, err error) {
	ctx, done := s.telemetry.start(ctx, "rewrite", len(records))
	defer func() { done(err) }()
	ledger, err := s.ledgerFor(ctx, records)
	if err != nil {
		return 0, fmt.Errorf("rewrite: %w", err)
	}
	b := &batch{store: s, outcomes: nil}
	var targets []*target
	var foldable []registry.Record
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
	left, _ := b.write(ctx, targets, foldable, ledger, maxWrites/2) // what failed is read again
	if len(left) > 0 {
		if err := b.merge(ctx, left); err != nil {
			return int(b.written.Load()), fmt.Errorf("rewrite: %w", err)
		}
	}
	return int(b.written.Load()), named("rewrite", unread)
}

// Settling implements registry.Rewriter.
func (s *Store) Settling() time.Duration {
	return s.ledgerStaleness + s.commitDeadline
}
