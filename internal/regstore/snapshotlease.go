package regstore

import (
	"context"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// snapshotLease is how long a writer has the lease: many times what a snapshot of a
// million moves takes.
const snapshotLease = 10 * time.Minute

// leaseSnapshot takes the lease, if a snapshot is due at a position, and returns when
// the document was written so; else the zero time.
func (s *Store) leaseSnapshot(ctx context.Context, position int64, holder string) (taken time.Time, err error) {
	if err := s.mayWrite(ctx); err != nil {
		return time.Time{}, err
	}
	name := s.snapshotName()
	documents, now, err := s.get(ctx, []string{name})
	if err != nil {
		return time.Time{}, err
	}
	d := documents[name]
	before, err := decodeSnapshot(d)
	if err != nil {
		// It is for processes that understand it. If none does, an operator deletes
		// it.
		return time.Time{}, s.tooNew(ctx, "ledger", ownership.TooNew(shortName(name), err))
	}
	if before != nil {
		s.snapshotAt.Store(before.position)
		broken := s.snapshotBroken.Load()
		if broken != nil && *broken != before.name { // another has taken its place
			s.snapshotBroken.CompareAndSwap(broken, nil)
			broken = nil
		}
		ofThisEpoch := before.epoch == storedEpoch(s.known().Epoch())
		if broken == nil && position-before.position < s.snapshotEvery && ofThisEpoch {
			return time.Time{}, nil
		}
	}
	if h := d.GetFields()[fieldHolder].GetStringValue(); h != "" && h != holder && now.Before(d.UpdateTime.AsTime().Add(snapshotLease)) {
		return time.Time{}, nil
	}
	receipt, err := s.commit(ctx, time.Now().Add(s.commitDeadline), docdb.Write{
		Name: name,
		Fields: map[string]*docdb.Value{
			fieldHolder: docdb.Text(holder), fieldUpdatedAt: docdb.Null(), // so that it is a change
			fieldFormat: docdb.Integer(snapshotFormat),
		},
		Mask:  []string{fieldHolder, fieldUpdatedAt, fieldFormat},
		Times: []string{fieldUpdatedAt},
		If:    docdb.AsRead(d),
	})
	if docdb.LostTheRace(err) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	return receipt.Updated[0], nil
}

// leaseRenewal is a write that only who has the lease can make.
func (s *Store) leaseRenewal(lease time.Time) docdb.Write {
	return docdb.Write{
		Name: s.snapshotName(), Fields: map[string]*docdb.Value{fieldUpdatedAt: docdb.Null()},
		Mask: []string{fieldUpdatedAt}, Times: []string{fieldUpdatedAt}, If: docdb.Condition{Updated: lease},
	}
}
