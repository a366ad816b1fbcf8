package regstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// The ledger's head. It is read with every strong read, and says, beside the
// ledger's position, who may take part. It has no seq, so that a query for
// entries by seq leaves it out.
const (
	headID          = "head"
	fieldPosition   = "position"
	fieldMinReader  = "min_reader"          // least ownership.Format of a process that reads
	fieldMinWriter  = "min_writer"          // and of one that writes
	fieldStaleness  = "ledger_staleness_ms" // LedgerStaleness of all processes
	fieldCommitTime = "commit_deadline_ms"  // CommitDeadline of all processes
)

// headFormat is the format of the head; headFields are ours.
const headFormat = 1

var headFields = []string{fieldPosition, fieldFormat, fieldMinReader, fieldMinWriter, fieldStaleness, fieldCommitTime, fieldEpoch, fieldEpochSince}

// The fence: an entry of the ledger that this release passes over, and on which
// commit 1571751 fails. That reads the time of every entry when it starts, every
// entry beyond its position before it writes what it has not looked at for
// LedgerStaleness, and before it answers whenever the head is ahead of it; while
// it cannot, it neither starts, nor writes, nor answers. Its error quotes the time.
//
// The fence's seq is beyond all positions; or, in a registry that was brought over,
// the position that brought the head ahead of all processes which still ran.
const (
	fenceID     = "fence"
	fenceFormat = 1
	fenceBeyond = 1 << 62
	fenceText   = "this registry is of a later release than commit 1571751: stop this process, see docs/upgrades.md"
)

func (s *Store) headName() string { return s.db.Name(LedgerCollection, headID) }

func (s *Store) fenceName() string { return s.db.Name(LedgerCollection, fenceID) }

func (s *Store) isFence(d *docdb.Document) bool { return d.Name == s.fenceName() }

// headState is what the latest read of the head said.
type headState struct {
	at      time.Time // of that read, by the store's clock
	exists  bool
	epoch   string
	writing error // why this process must not write; nil if it may

	plainSetsOver time.Time // since when no program writes past the registry; zero: some may
	logSince      time.Time // since when there is a log; zero: there is none

	layout      feedLayout
	layoutSince time.Time // of the first read that found this layout; zero: it has always been so
}

// look takes note of the head as it was at a time, nil if there was none, and
// returns where the ledger was. The error says why this process must not read; it
// wraps registry.ErrIncompatible.
func (s *Store) look(ctx context.Context, head *docdb.Document, at time.Time) (point, error) {
	for {
		before := s.head.Load()
		state, err := s.judge(head, at, before)
		if state != before && !s.head.CompareAndSwap(before, state) {
			continue
		}
		if state.writing != nil && (before == nil || before.writing == nil) {
			s.logger.ErrorContext(ctx, "this process must not take part in the registry any more", "reads", err == nil, "error", state.writing)
		}
		if before != nil && before.exists && before.epoch != state.epoch {
			s.leaves(ctx, before, state)
		}
		return s.pointOf(head), err
	}
}

// judge returns what is known after a read of the head, and why this process must
// not read. Answers may come in another order than their reads: an earlier one says
// nothing new about who may take part, and if it found no head, one may have been
// made since: it was not deleted.
func (s *Store) judge(head *docdb.Document, at time.Time, before *headState) (*headState, error) {
	if before != nil && before.exists && !at.After(before.at) {
		if head == nil {
			return before, nil
		}
		return before, s.mayRead(head)
	}
	if s.another(before, head) {
		err := s.registryIsAnother(before, head)
		state := *before
		state.at, state.writing = at, err
		return &state, err
	}
	state := &headState{at: at, exists: head != nil || before != nil && before.exists, epoch: s.pointOf(head).epoch, layout: layoutOf(head), plainSetsOver: plainSetsOver(head), logSince: logSince(head)}
	if head == nil && before != nil {
		state.epoch = before.epoch
	}
	switch {
	case before != nil && before.layout == state.layout:
		state.layoutSince = before.layoutSince
	case before != nil || state.layout != layoutOf(nil):
		state.layoutSince = at
	}
	if !state.exists {
		return state, nil
	}
	err := s.mayRead(head)
	state.writing = err
	if least := head.GetFields()[fieldMinWriter].GetIntegerValue(); err == nil && least > ownership.Format {
		state.writing = s.incompatible("writes to this registry take format %d, and this version has %d: use a later release", least, ownership.Format)
	}
	return state, err
}

// mayRead returns why this process must not read. A head that was there and is
// not has been deleted by hand.
func (s *Store) mayRead(head *docdb.Document) error {
	if head == nil {
		return s.headIsGone()
	}
	if docdb.Missing(head.Fields[fieldFormat]) {
		return s.incompatible("%w", registry.ErrNotUpgraded)
	}
	if _, err := decodeFormat(head); err != nil {
		return s.incompatible("%w", err)
	}
	for _, field := range []string{fieldPosition, fieldMinReader, fieldMinWriter} {
		if _, err := decodeInteger(head.Fields[field]); err != nil { // it was edited by hand
			return s.incompatible("%w", named(field, err))
		}
	}
	if least := head.Fields[fieldMinReader].GetIntegerValue(); least > ownership.Format {
		return s.incompatible("reads of this registry take format %d, and this version has %d: use a later release", least, ownership.Format)
	}
	return cmp.Or(
		s.differs("LedgerStaleness", s.ledgerStaleness, head.Fields[fieldStaleness]),
		s.differs("CommitDeadline", s.commitDeadline, head.Fields[fieldCommitTime]))
}

// differs compares a constant on which the proofs rest with that of the others.
func (s *Store) differs(name string, ours time.Duration, theirs *docdb.Value) error {
	stored := time.Duration(theirs.GetIntegerValue()) * time.Millisecond
	if stored == ours {
		return nil
	}
	return s.incompatible("%s is %v here, and %v for the registry: all processes must agree on it", name, ours, stored)
}

func (s *Store) incompatible(format string, args ...any) error {
	return fmt.Errorf("%s: %w, %w: %w (docs/upgrades.md)", shortName(s.headName()),
		registry.ErrUnavailable, registry.ErrIncompatible, fmt.Errorf(format, args...))
}

// mayWrite returns why this process must not write, as far as it is known. If the head
// was deleted it looks whether it is there again. In a registry that has no head,
// because nothing was ever written, it makes one. Both take CommitDeadline at most.
func (s *Store) mayWrite(ctx context.Context) error {
	state := s.head.Load()
	if state != nil && state.exists && (state.writing == nil || errors.Is(state.writing, registry.ErrIncompatible)) {
		return state.writing
	}
	ctx, cancel := context.WithTimeout(ctx, s.commitDeadline)
	defer cancel()
	return s.makeHead(ctx)
}

// makeHead makes the head, if there is none and the registry is a new one, and
// returns why this process must not write.
func (s *Store) makeHead(ctx context.Context) error {
	if _, err := s.readWithHead(ctx, nil); err != nil {
		return err
	}
	if state := s.head.Load(); state.exists {
		return state.writing
	}
	if err := s.isNew(ctx); err != nil {
		return err
	}
	_, err := s.commit(ctx, time.Now().Add(s.commitDeadline), s.headWrite(0, nil), s.fenceWrite(fenceBeyond, nil))
	if err != nil && !docdb.LostTheRace(err) {
		return err
	}
	if _, err := s.readWithHead(ctx, nil); err != nil { // as it is now: another process may have made it
		return err
	}
	if state := s.head.Load(); !state.exists {
		return unavailable("make the ledger's head", cmp.Or(err, errors.New("it is gone")))
	} else {
		return state.writing
	}
}

// headWrite writes the ledger's position. Who may take part is said when the
// head is made, and stays.
func (s *Store) headWrite(position int64, existing *docdb.Document) docdb.Write {
	w := docdb.Write{
		Name:   s.headName(),
		Fields: map[string]*docdb.Value{fieldPosition: docdb.Integer(position)},
		Mask:   []string{fieldPosition},
		Times:  []string{fieldChangedAt},
		If:     docdb.AsRead(existing),
	}
	if existing == nil {
		w.Fields, w.Mask, w.Times = s.headFields(position), headFields, append(w.Times, fieldEpochSince)
	}
	return w
}

func (s *Store) headFields(position int64) map[string]*docdb.Value {
	const least = 1 // a process that knows format 1 leaves alone what is later
	return map[string]*docdb.Value{
		fieldPosition:   docdb.Integer(position),
		fieldFormat:     docdb.Integer(headFormat),
		fieldMinReader:  docdb.Integer(least),
		fieldMinWriter:  docdb.Integer(least),
		fieldStaleness:  docdb.Integer(s.ledgerStaleness.Milliseconds()),
		fieldCommitTime: docdb.Integer(s.commitDeadline.Milliseconds()),
		fieldEpoch:      docdb.Text(newEpoch()),
	}
}

// fenceWrite makes the fence, or puts it at another position.
func (s *Store) fenceWrite(position int64, existing *docdb.Document) docdb.Write {
	return docdb.Write{
		Name: s.fenceName(),
		Fields: map[string]*docdb.Value{
			fieldSeq: docdb.Integer(position), fieldTime: docdb.Text(fenceText), fieldFormat: docdb.Integer(fenceFormat),
		},
		If: docdb.AsRead(existing),
	}
}

// Finish ends the upgrade to this release: it says in the head that no process of
// an earlier one may read or write, and returns whether any might before. Those
// which run stop within MaxStaleness and LedgerStaleness (docs/upgrades.md). Then
// the change feed is spread over shards, which an earlier release does not read;
// their index must be there.
// A head that asks for a later release stays as it is. Errors wrap
// registry.ErrUnavailable.
func (s *Store) Finish(ctx context.Context) (changed bool, err error) {
	if err := s.mayWrite(ctx); err != nil {
		return false, fmt.Errorf("finish the upgrade: %w", err)
	}
	probe := feedIndex{sharded: true}.query(ownership.Span{From: time.Now()})
	probe.Limit = 1
	if err := s.query(ctx, probe, func(*docdb.Document) error { return nil }); err != nil {
		return false, fmt.Errorf("finish the upgrade: read the change feed by shards, which takes the composite index of firestore.indexes.json: %w", err)
	}
	for range s.attempts(ctx) {
		var documents map[string]*docdb.Document
		if documents, _, err = s.get(ctx, []string{s.headName()}); err != nil {
			break
		}
		w := docdb.Write{Name: s.headName(), Fields: map[string]*docdb.Value{}, If: docdb.AsRead(documents[s.headName()])}
		for _, field := range []string{fieldMinReader, fieldMinWriter} {
			if documents[s.headName()].GetFields()[field].GetIntegerValue() < ownership.Format {
				w.Fields[field], w.Mask = docdb.Integer(ownership.Format), append(w.Mask, field)
			}
		}
		if len(w.Mask) == 0 {
			return changed, nil
		}
		if _, err = s.commit(ctx, time.Now().Add(s.commitDeadline), w); err == nil {
			return true, nil
		}
		changed = changed || !docdb.LostTheRace(err) // the next read tells
	}
	return false, fmt.Errorf("finish the upgrade: %w", err)
}
