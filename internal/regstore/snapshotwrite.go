package regstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

const (
	// snapshotEvery bounds the changes that a start reads beside the snapshot: each
	// is a read.
	snapshotEvery = 500
	// chunkBytes bounds a chunk before compression: a document has at most 1 MiB
	// (https://cloud.google.com/firestore/quotas).
	chunkBytes = 900 << 10
	// mostUnreadMoves is how many entries may not be understood if a snapshot is to
	// be of use.
	mostUnreadMoves = 100
)

// errNotTheLedger: what a process holds of the ledger is not what is stored.
var errNotTheLedger = errors.New("the ledger in this process's memory is not that of the database: start this process anew")

// WriteSnapshot writes a snapshot of the ledger if one is due, and no other process
// is about to: then written is false. Whatever happens, readers find the snapshot
// before or the new one, each whole.
//
// The document that names a snapshot's chunks has the lease too. It is written on the
// condition that nobody else has written it since the lease was taken, and renewed on
// that condition with each commit of chunks. So once an erasure has deleted it, no chunk
// of that lease is written any more. Its writer deletes chunks only after that, and only
// those of earlier leases, which the document cannot come to name any more: so the
// chunks that it names are there, however long a writer is held up.
func (s *Store) WriteSnapshot(ctx context.Context, holder string) (written bool, err error) {
	position := s.known().Position() // about: what others have changed is no reason to read
	if position-s.snapshotAt.Load() < s.snapshotEvery && s.snapshotBroken.Load() == nil {
		return false, nil
	}
	ctx, done := s.telemetry.start(ctx, "snapshot", 0)
	defer func() { done(err) }()
	lease, err := s.leaseSnapshot(ctx, position, holder)
	if err != nil || lease.IsZero() {
		return false, err
	}
	began := time.Now()
	next, err := s.writeSnapshot(ctx, lease)
	if err != nil {
		return false, fmt.Errorf("write a snapshot of the ledger: %w", err)
	}
	s.snapshotAt.Store(next.position)
	s.logger.InfoContext(ctx, "a snapshot of the ledger was written", "position", next.position, "moves", next.moves,
		"documents", next.chunks, "took", time.Since(began).Round(time.Millisecond))
	if err := s.removeChunks(ctx, next); err != nil {
		s.logger.WarnContext(ctx, "documents of an older snapshot of the ledger were not deleted: the next one does it", "error", err)
	}
	return true, nil
}

// writeSnapshot writes chunks, and then the document that names them.
func (s *Store) writeSnapshot(ctx context.Context, lease time.Time) (next *snapshotIndex, err error) {
	ledger, err := s.storedLedger(ctx)
	if err != nil {
		if errors.Is(err, errNotTheLedger) {
			// What made this process's ledger wrong may be the snapshot.
			_, err2 := s.commit(ctx, time.Now().Add(s.commitDeadline), docdb.Write{Name: s.snapshotName(), Delete: true, If: docdb.Condition{Updated: lease}})
			err = errors.Join(err, err2)
		}
		return nil, err
	}
	next = &snapshotIndex{epoch: storedEpoch(ledger.Epoch()), position: ledger.Position(), moves: ledger.Len()}
	// Nobody else has that lease, and names are in the order of leases: removeChunks.
	next.name = fmt.Sprintf("%s-%d", leaseName(lease), next.position)
	for _, e := range ledger.Unread() {
		next.unread = append(next.unread, e.Document)
	}
	lease, err = s.writeChunks(ctx, next, ledger, lease)
	if err != nil {
		return nil, err
	}
	if err := s.mayWrite(ctx); err != nil {
		return nil, err
	}
	_, err = s.commit(ctx, time.Now().Add(s.commitDeadline), s.snapshotWrite(next, lease))
	return next, err
}

// leaseName is what the names of chunks begin with, in the order of leases.
func leaseName(taken time.Time) string { return fmt.Sprintf("%020d", taken.UnixMicro()) }

func (s *Store) snapshotWrite(x *snapshotIndex, lease time.Time) docdb.Write {
	return docdb.Write{
		Name: s.snapshotName(),
		Fields: map[string]*docdb.Value{
			fieldSnapshot: docdb.Text(x.name),
			fieldChunks:   docdb.Integer(int64(x.chunks)),
			fieldMoves:    docdb.Integer(int64(x.moves)),
			fieldEpoch:    docdb.Text(x.epoch),
			fieldPosition: docdb.Integer(x.position),
			fieldUnread:   docdb.Texts(x.unread),
			fieldFormat:   docdb.Integer(snapshotFormat),
			fieldHolder:   docdb.Text(""),
		},
		Mask:  append([]string{fieldHolder, fieldUpdatedAt}, snapshotFields...),
		Times: []string{fieldUpdatedAt},
		If:    docdb.Condition{Updated: lease},
	}
}

// writeChunks writes the chunks of a ledger, counts them, and returns the lease as it
// was renewed with them.
func (s *Store) writeChunks(ctx context.Context, x *snapshotIndex, ledger *ownership.Ledger, lease time.Time) (renewed time.Time, err error) {
	var chunk []byte
	var writes []docdb.Write
	bytes := 0
	flush := func() error {
		if len(writes) == 0 {
			return nil
		}
		receipt, err := s.commit(ctx, time.Now().Add(s.commitDeadline), append(writes, s.leaseRenewal(lease))...)
		if err != nil {
			return err
		}
		lease, writes, bytes = receipt.Updated[len(writes)], nil, 0
		return nil
	}
	cut := func() error {
		data, err := compress(chunk)
		if err != nil {
			return err
		}
		if bytes += len(data); bytes > docdb.MaxBytes/2 {
			if err := flush(); err != nil {
				return err
			}
			bytes = len(data)
		}
		writes = append(writes, docdb.Write{
			Name: s.chunkName(x.name, x.chunks),
			Fields: map[string]*docdb.Value{
				fieldData:   {ValueType: &firestorepb.Value_BytesValue{BytesValue: data}},
				fieldFormat: docdb.Integer(snapshotFormat),
			},
			If: docdb.Absent,
		})
		x.chunks, chunk = x.chunks+1, chunk[:0]
		return nil
	}
	for m := range ledger.Moves() {
		before := len(chunk)
		if chunk = appendMove(chunk, m); len(chunk) > s.chunkBytes && before > 0 {
			rest := append([]byte{}, chunk[before:]...)
			chunk = chunk[:before]
			if err := cut(); err != nil {
				return lease, err
			}
			chunk = append(chunk, rest...)
		}
	}
	if len(chunk) > 0 {
		if err := cut(); err != nil {
			return lease, err
		}
	}
	err = flush()
	return lease, err
}

// storedLedger returns the ledger as it is now, which is compared with what is
// stored: a process that has missed a change would hide it from all that start.
// Entries have different positions, that of an entry is its last change's, and
// positions grow: so what is missing, or old, lowers their sum. It is billed one
// read for up to 1,000 entries.
func (s *Store) storedLedger(ctx context.Context) (*ownership.Ledger, error) {
	var differs error
	for range 3 { // the emulator breaks the promise of a read time now and then
		snapshot, err := s.readWithHead(ctx, nil)
		if err != nil {
			return nil, err
		}
		ledger := snapshot.Ledger
		if len(ledger.Unread()) > mostUnreadMoves {
			return nil, fmt.Errorf("%w: %d entries are not understood", registry.ErrTooNew, len(ledger.Unread()))
		}
		query := s.ledgerQuery(fieldSeq, 0, 0, snapshot.ReadTime)
		query.All = []docdb.Filter{{Field: fieldSeq, Op: docdb.Less, Value: docdb.Integer(fenceBeyond)}}
		stored, sum, err := s.db.Sum(ctx, query, fieldSeq)
		if err != nil {
			return nil, unavailable("sum up the ledger", err)
		}
		fence, err := s.documentAt(ctx, fenceID, snapshot.ReadTime)
		if err != nil {
			return nil, err
		}
		held, heldSum := s.heldOf(ledger, fence)
		if held == stored && heldSum == sum {
			return ledger, nil
		}
		differs = fmt.Errorf("%w: at position %d it has %d entries, whose positions sum up to %d; %d entries are stored, and their sum is %d",
			errNotTheLedger, ledger.Position(), held, heldSum, stored, sum)
	}
	s.logger.ErrorContext(ctx, "no snapshot of the ledger can be written", "error", differs)
	return nil, differs
}

// heldOf counts the entries of a ledger as they are stored, and sums up their
// positions.
func (s *Store) heldOf(ledger *ownership.Ledger, fence *docdb.Document) (n, sum int64) {
	add := func(seq int64) {
		if 0 < seq && seq < fenceBeyond {
			n, sum = n+1, sum+seq
		}
	}
	for m := range ledger.Moves() {
		add(m.Position)
	}
	for _, e := range ledger.Unread() {
		add(e.Position)
	}
	add(fence.GetFields()[fieldSeq].GetIntegerValue())
	return n, sum
}

// removeChunks deletes the chunks of leases before this snapshot's. Those of later
// leases may be named, or about to be. Who is reading chunks reads as of a time at
// which they were there.
func (s *Store) removeChunks(ctx context.Context, x *snapshotIndex) error {
	query := docdb.Query{
		Collection: LedgerCollection,
		After:      s.db.Name(LedgerCollection, chunkPrefix),
		UpTo:       s.db.Name(LedgerCollection, chunkPrefix+x.name), // less than its own
		Select:     []string{fieldFormat},
	}
	var old []docdb.Write
	err := s.query(ctx, query, func(d *docdb.Document) error {
		old = append(old, docdb.Write{Name: d.Name, Delete: true})
		return nil
	})
	for len(old) > 0 && err == nil {
		n := min(len(old), docdb.MaxWrites)
		_, err = s.commit(ctx, time.Now().Add(s.commitDeadline), old[:n]...)
		old = old[n:]
	}
	return err
}

// snapshotPause is how long KeepSnapshots waits, on average, before it looks again.
const snapshotPause = 30 * time.Second

// KeepSnapshots writes snapshots of the ledger as they are due, until ctx ends.
func (s *Store) KeepSnapshots(ctx context.Context, holder string) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration((0.5 + s.chance()) * float64(snapshotPause))):
		}
		if _, err := s.WriteSnapshot(ctx, holder); err != nil && ctx.Err() == nil {
			s.logger.WarnContext(ctx, "no snapshot of the ledger was written: starts read what has changed since the last one", "error", err)
		}
	}
}
