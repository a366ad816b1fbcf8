package regstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// The document that says who rewrites, and how fast that goes. It has neither seq
// nor pending, so that queries for entries leave it out. Its update time is when the
// lease was renewed.
const (
	rewritingID   = "rewriting"
	fieldLeaseFor = "lease_ms"
	fieldPace     = "pace" // map
)

// The fields of the map that a pace is.
const (
	fieldPerSecond = "per_second" // that the governor allows
	fieldDone      = "done"       // documents, in its period
	fieldElapsed   = "elapsed_ms" // of that period
	fieldHad       = "had"        // documents a second, with enough to do for the whole worker
	fieldHadAt     = "had_at"
	fieldGoverned  = "governed" // what it had is what the governor allowed
)

// leaseFields are ours.
var leaseFields = []string{fieldHolder, fieldLeaseFor, fieldPace, fieldUpdatedAt, fieldFormat}

// leaseFormat is the format of the lease.
const leaseFormat = 1

func (s *Store) leaseName() string { return s.db.Name(LedgerCollection, rewritingID) }

// Lease implements ownership.Rewriter.
func (s *Store) Lease(ctx context.Context) (ownership.Lease, error) {
	_, lease, _, err := s.readLease(ctx)
	if err != nil {
		return ownership.Lease{}, fmt.Errorf("read the lease of rewriting: %w", err)
	}
	return lease, nil
}

func (s *Store) readLease(ctx context.Context) (d *docdb.Document, lease ownership.Lease, now time.Time, err error) {
	documents, now, err := s.get(ctx, []string{s.leaseName()})
	if err != nil {
		return nil, lease, now, err
	}
	d = documents[s.leaseName()]
	if d == nil {
		return nil, lease, now, nil
	}
	if _, err := decodeFormat(d); err != nil {
		return d, lease, now, s.tooNew(ctx, "ledger", ownership.TooNew(shortName(s.leaseName()), err))
	}
	return d, decodeLease(d), now, nil
}

// TakeLease implements ownership.Rewriter.
func (s *Store) TakeLease(ctx context.Context, lease ownership.Lease) (ownership.Lease, error) {
	ctx, done := s.telemetry.start(ctx, "lease_job", 1)
	taken, err := s.takeLease(ctx, lease)
	if errors.Is(err, ownership.ErrLeaseHeld) {
		done(nil)
		return lease, err
	}
	done(err)
	if err != nil {
		return lease, fmt.Errorf("take the lease of rewriting: %w", err)
	}
	return taken, nil
}

func (s *Store) takeLease(ctx context.Context, lease ownership.Lease) (ownership.Lease, error) {
	if _, err := s.freshLedger(ctx); err != nil { // this process may still write
		return lease, err
	}
	d, held, now, err := s.readLease(ctx)
	if err != nil {
		return lease, err
	}
	if h := held.Holder; h != lease.Holder && (h != "" && now.Before(held.Now.Add(held.For)) || lease.For == 0) {
		return lease, ownership.ErrLeaseHeld
	}
	receipt, err := s.commit(ctx, time.Now().Add(s.commitDeadline), docdb.Write{
		Name: s.leaseName(), Fields: leaseValues(lease), Mask: leaseFields, Times: []string{fieldUpdatedAt}, If: docdb.AsRead(d),
	})
	if docdb.LostTheRace(err) {
		return lease, ownership.ErrLeaseHeld
	}
	if err != nil {
		return lease, err
	}
	lease.Now = receipt.At
	return lease, nil
}

// leaseValues are the fields of a lease.
func leaseValues(l ownership.Lease) map[string]*docdb.Value {
	if l.For == 0 {
		l.Holder = ""
	}
	pace := map[string]*docdb.Value{
		fieldPerSecond: docdb.Double(l.Pace.PerSecond),
		fieldDone:      docdb.Integer(l.Pace.Done),
		fieldElapsed:   docdb.Integer(l.Pace.Elapsed.Milliseconds()),
	}
	if !l.Pace.HadAt.IsZero() {
		pace[fieldHad], pace[fieldHadAt], pace[fieldGoverned] = docdb.Double(l.Pace.Had), docdb.Timestamp(l.Pace.HadAt), docdb.Boolean(l.Pace.Governed)
	}
	return map[string]*docdb.Value{
		fieldHolder:    docdb.Text(l.Holder),
		fieldLeaseFor:  docdb.Integer(l.For.Milliseconds()),
		fieldPace:      docdb.Map(pace),
		fieldFormat:    docdb.Integer(leaseFormat),
		fieldUpdatedAt: docdb.Null(), // so that every renewal is a change
	}
}

func decodeLease(d *docdb.Document) ownership.Lease {
	pace := d.Fields[fieldPace].GetMapValue().GetFields()
	return ownership.Lease{
		Holder: d.Fields[fieldHolder].GetStringValue(),
		For:    time.Duration(d.Fields[fieldLeaseFor].GetIntegerValue()) * time.Millisecond,
		Now:    d.UpdateTime.AsTime(),
		Pace: ownership.Pace{
			PerSecond: pace[fieldPerSecond].GetDoubleValue(),
			Done:      pace[fieldDone].GetIntegerValue(),
			Elapsed:   time.Duration(pace[fieldElapsed].GetIntegerValue()) * time.Millisecond,
			Had:       pace[fieldHad].GetDoubleValue(),
			HadAt:     timestamp(pace[fieldHadAt]),
			Governed:  pace[fieldGoverned].GetBooleanValue(),
		},
	}
}
