package regstore

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"golang.org/x/sync/errgroup"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// The snapshot of the ledger: what it was at one position, in documents of many
// entries each, so that a start reads these and what has changed since. The
// document snapshotID says which documents these are, its chunks. They have neither
// seq nor pending, so that queries for entries leave them out; one never changes,
// and each snapshot has its own. Who does not know them, or cannot read them, reads
// all entries: a snapshot makes a start faster, and says nothing else.
const (
	snapshotID    = "snapshot"
	chunkPrefix   = snapshotID + "."
	fieldSnapshot = "snapshot" // the name that its chunks have in theirs
	fieldChunks   = "chunks"
	fieldMoves    = "moves" // in all chunks
	fieldData     = "data"
)

// snapshotFormat is the format of a snapshot and of its chunks. A release that
// brings a sort of entry which folds take account of, or another way to write one,
// must raise it.
const snapshotFormat = 1

// snapshotFields are ours, except those of the lease.
var snapshotFields = []string{fieldSnapshot, fieldChunks, fieldMoves, fieldUnread, fieldEpoch, fieldPosition, fieldFormat}

func (s *Store) snapshotName() string { return s.db.Name(LedgerCollection, snapshotID) }

func (s *Store) chunkName(snapshot string, n int) string {
	return s.db.Name(LedgerCollection, fmt.Sprintf("%s%s.%06d", chunkPrefix, snapshot, n))
}

// snapshotIndex is what the document snapshotID says.
type snapshotIndex struct {
	name     string
	epoch    string
	position int64
	chunks   int
	moves    int
	unread   []string // ids of documents of the entries that its writer did not understand
}

// decodeSnapshot returns nil if there is no snapshot. The error says why it is not
// understood.
func decodeSnapshot(d *docdb.Document) (*snapshotIndex, error) {
	if d == nil || docdb.Missing(d.Fields[fieldSnapshot]) { // there may be a lease alone
		return nil, nil
	}
	if _, err := decodeFormat(d); err != nil {
		return nil, err
	}
	if d.Fields[fieldFormat].GetIntegerValue() != snapshotFormat {
		return nil, fmt.Errorf("%s: %d", fieldFormat, d.Fields[fieldFormat].GetIntegerValue())
	}
	x := &snapshotIndex{
		name:     d.Fields[fieldSnapshot].GetStringValue(),
		epoch:    d.Fields[fieldEpoch].GetStringValue(),
		position: d.Fields[fieldPosition].GetIntegerValue(),
		chunks:   int(d.Fields[fieldChunks].GetIntegerValue()),
		moves:    int(d.Fields[fieldMoves].GetIntegerValue()),
	}
	for _, v := range d.Fields[fieldUnread].GetArrayValue().GetValues() {
		x.unread = append(x.unread, v.GetStringValue())
	}
	if x.name == "" || x.position <= 0 || x.chunks < 0 || x.chunks > mostChunks || x.moves < 0 {
		return nil, errors.New("it is incomplete")
	}
	return x, nil
}

// mostChunks is more than any ledger has that fits a process.
const mostChunks = 100_000

// chunksAtOnce is how many chunks one query reads, and chunkReaders how many queries
// there are at a time.
const (
	chunksAtOnce = 8
	chunkReaders = 4
)

// errNoSnapshot: there is none, or it cannot be used.
var errNoSnapshot = errors.New("no snapshot")

// readSnapshot returns the ledger of the snapshot, all of it as of one time. The
// error is errNoSnapshot, or wraps registry.ErrUnavailable.
func (s *Store) readSnapshot(ctx context.Context, at time.Time, head point, told *loadProgress) (*ownership.Ledger, error) {
	d, err := s.documentAt(ctx, snapshotID, at)
	if err != nil {
		return nil, err
	}
	index, err := decodeSnapshot(d)
	switch {
	case err != nil || index == nil:
	case index.epoch != storedEpoch(head.epoch):
		err = fmt.Errorf("it is of epoch %q, and the head of %q: the registry was recovered since", index.epoch, storedEpoch(head.epoch))
	case index.position > head.position:
		err = fmt.Errorf("it is of position %d, and the head at %d", index.position, head.position)
	}
	if err != nil || index == nil {
		return nil, s.noSnapshot(ctx, index, err)
	}
	chunks := make([]ownership.Loading, index.chunks)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(chunkReaders)
	for first := 0; first < index.chunks; first += chunksAtOnce {
		group.Go(func() error {
			return s.readChunks(gctx, index, first, chunks[first:min(first+chunksAtOnce, index.chunks)], at, told)
		})
	}
	var broken *brokenSnapshot
	if err := group.Wait(); errors.As(err, &broken) {
		return nil, s.noSnapshot(ctx, index, err)
	} else if err != nil {
		return nil, err
	}
	var loading ownership.Loading
	for i := range chunks {
		loading.Join(&chunks[i])
	}
	unread, moves, err := s.unreadOf(ctx, index, at)
	if err != nil {
		return nil, err
	}
	loading.Add(moves)
	ledger := loading.Ledger(index.position, unread).InEpoch(head.epoch)
	if ledger.Len() != index.moves+len(moves) {
		return nil, s.noSnapshot(ctx, index, fmt.Errorf("it has %d moves, and not %d", ledger.Len()-len(moves), index.moves))
	}
	return ledger, nil
}

// noSnapshot tells why a snapshot cannot be used, if there is one. If its index is
// understood, and not nil, the process takes note that another is due.
func (s *Store) noSnapshot(ctx context.Context, index *snapshotIndex, why error) error {
	next := "it is for a later release: if there is none, delete the document"
	if index != nil {
		next = "the next worker that starts writes another"
		s.snapshotBroken.Store(&index.name)
	}
	if why != nil {
		s.logger.WarnContext(ctx, "the snapshot of the ledger cannot be used, so all of its entries are read",
			"document", shortName(s.snapshotName()), "error", why, "next", next)
	}
	return errNoSnapshot
}

// brokenSnapshot is why chunks cannot be used.
type brokenSnapshot struct{ error }

// readChunks reads the chunks from the first on.
func (s *Store) readChunks(ctx context.Context, index *snapshotIndex, first int, into []ownership.Loading, at time.Time, told *loadProgress) error {
	query := docdb.Query{
		Collection: LedgerCollection, UpTo: s.chunkName(index.name, first+len(into)-1), At: at,
		After: s.db.Name(LedgerCollection, chunkPrefix+index.name+"."), // less than all
	}
	if first > 0 {
		query.After = s.chunkName(index.name, first-1)
	}
	next := 0
	err := s.query(ctx, query, func(d *docdb.Document) error {
		if next == len(into) || d.Name != s.chunkName(index.name, first+next) {
			return &brokenSnapshot{fmt.Errorf("chunk %d is %s", first+next, path.Base(d.Name))}
		}
		data, ok := d.Fields[fieldData].GetValueType().(*firestorepb.Value_BytesValue)
		if _, err := decodeFormat(d); err != nil || !ok {
			return &brokenSnapshot{fmt.Errorf("chunk %d is not understood: %w", first+next, err)}
		}
		moves, err := decodeChunk(data.BytesValue)
		if err != nil {
			return &brokenSnapshot{fmt.Errorf("chunk %d: %w", first+next, err)}
		}
		into[next].Add(moves)
		next++
		told.add(len(moves))
		return nil
	})
	if err == nil && next < len(into) {
		err = &brokenSnapshot{fmt.Errorf("chunk %d is missing", first+next)}
	}
	return err
}

// unreadOf reads the entries that the writer of a snapshot did not understand. They
// may be understood now: by this release, or because they were fixed. What has
// changed since the snapshot is left to who reads the changes.
func (s *Store) unreadOf(ctx context.Context, index *snapshotIndex, at time.Time) (unread []ownership.LedgerEntry, moves []ownership.Move, err error) {
	for _, id := range index.unread {
		d, err := s.documentAt(ctx, id, at)
		if err != nil {
			return nil, nil, err
		}
		if d == nil || d.Fields[fieldSeq].GetIntegerValue() > index.position {
			continue
		}
		if e := s.decodeLedgerEntry(ctx, d); e.Unread != nil {
			unread = append(unread, e)
		} else {
			moves = append(moves, e.Move())
		}
	}
	return unread, moves, nil
}

// documentAt reads a document of the ledger as of a time; nil if there is none.
func (s *Store) documentAt(ctx context.Context, id string, at time.Time) (found *docdb.Document, err error) {
	name := s.db.Name(LedgerCollection, id)
	query := docdb.Query{Collection: LedgerCollection, After: name[:len(name)-1], UpTo: name, At: at}
	err = s.query(ctx, query, func(d *docdb.Document) error {
		if d.Name == name {
			found = d
		}
		return nil
	})
	return found, err
}
