package regstore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// ledgerDocuments is what one read saw of the ledger's entries and its head.
type ledgerDocuments struct {
	documents map[string]*docdb.Document
	entries   map[ownership.EventName]ownership.LedgerEntry
	toLog     map[ownership.EventName]bool // the moves that an operator makes
	point
	asked time.Time // before the read
	now   time.Time // of the read, by the store's clock
}

// changeLedger reads the entries of changes and the head, and commits all the
// entries that change together with the head, so that positions are in the order
// of commits. It answers the changes that are settled, and returns those that
// are to be tried again: after a lost race; and once after an answer that was
// lost, to learn by reading whether the commit happened. sent reports whether
// the head was written, perhaps.
//
// It is called by the lane alone, on behalf of many callers, so it has a time of
// its own: CommitDeadline to read, and as long to commit.
func (s *Store) changeLedger(changes []*queuedChange) (again []*queuedChange, sent bool) {
	ctx, done := s.telemetry.start(context.Background(), "change_ledger", len(changes))
	known, err := s.anonymize(ctx, changes)
	var read ledgerDocuments
	if err == nil {
		read, err = s.readLedger(ctx, changes)
	}
	if err != nil {
		for _, c := range changes {
			c.fail(errors.Join(c.lost, err))
		}
		done(err)
		return nil, false
	}
	pure := make([]ownership.LedgerChange, len(changes))
	for i, c := range changes {
		pure[i] = c.LedgerChange
	}
	entries, outcomes := ownership.UpdateLedger(read.position, read.now, read.entries, pure)
	if len(entries) > 0 {
		err, sent = s.commitLedger(ctx, read, entries, s.deadline(known)), true
	}
	done(err)
	if err == nil {
		s.lane.whole()
		for i, c := range changes {
			c.settle(outcomes[i])
		}
		return nil, sent
	}
	if status.Code(err) == codes.InvalidArgument && len(changes) > 1 {
		s.lane.halve(len(changes))
		return changes, false // nothing was written, and no other writer is in the way
	}
	for i, c := range changes {
		if c.goesOn(err, outcomes[i]) {
			again = append(again, c)
		} else {
			c.fail(err)
		}
	}
	return again, sent
}

// anonymize takes the names of erased tenants out of changes, by a ledger that is at most
// LedgerStaleness old: it is the one by which the deadline of the commit is set, so none
// comes later whose writer did not know of the erasure, however long changes have waited.
func (s *Store) anonymize(ctx context.Context, changes []*queuedChange) (*certifiedLedger, error) {
	ctx, cancel := context.WithTimeout(ctx, s.commitDeadline)
	defer cancel()
	known, err := s.freshLedger(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		if c.By != nil {
			toLog := c.ToLog
			c.LedgerChange = c.By(known.Ledger)
			c.ToLog = toLog
		}
	}
	return known, nil
}

// goesOn notes that a commit of the change failed, and reports whether it is to
// be tried again.
func (c *queuedChange) goesOn(err error, outcome ownership.Outcome) bool {
	if docdb.LostTheRace(err) {
		c.races++
		return c.races < raceAttempts
	}
	if c.sent != nil {
		return false
	}
	c.sent, c.lost = &outcome, err
	return true
}

// readLedger reads the entries of changes, and the head, in one request.
func (s *Store) readLedger(ctx context.Context, changes []*queuedChange) (ledgerDocuments, error) {
	ctx, cancel := context.WithTimeout(ctx, s.commitDeadline)
	defer cancel()
	names, base := []string{s.headName()}, s.known()
	for _, c := range changes {
		names = append(names, s.ledgerName(c.Event))
	}
	slices.Sort(names)
	asked := time.Now()
	documents, now, err := s.get(ctx, slices.Compact(names))
	if err != nil {
		return ledgerDocuments{}, err
	}
	p, err := s.look(ctx, documents[s.headName()], now)
	if err = cmp.Or(err, s.mayWrite(ctx), s.wentBack(ctx, base, p)); err != nil {
		return ledgerDocuments{}, err
	}
	if documents[s.headName()] == nil { // it was made just now
		return s.readLedger(ctx, changes)
	}
	read := ledgerDocuments{documents, map[ownership.EventName]ownership.LedgerEntry{}, map[ownership.EventName]bool{}, p, asked, now}
	for _, c := range changes {
		if c.ToLog {
			read.toLog[c.Event] = true
		}
		if d := documents[s.ledgerName(c.Event)]; d != nil {
			read.entries[c.Event] = s.decodeLedgerEntry(ctx, d)
		}
	}
	return read, nil
}

// commitLedger commits entries and the head by a deadline, on the condition that all are
// as they were read. Then this process folds with them at once.
func (s *Store) commitLedger(ctx context.Context, read ledgerDocuments, entries []ownership.LedgerEntry, deadline time.Time) error {
	last := entries[len(entries)-1].Position
	writes := []docdb.Write{s.headWrite(last, read.documents[s.headName()])}
	for _, e := range entries {
		name := s.ledgerName(e.EventName())
		writes = append(writes, s.ledgerWrite(name, e, read.documents[name]))
	}
	outbox, logged := s.outboxWrites(read.now, inNoTopic(read, entries)...)
	writes = append(writes, outbox...)
	slices.SortFunc(writes, func(a, b docdb.Write) int { // one order of locks
		return cmp.Compare(a.Name, b.Name)
	})
	sent := time.Now()
	receipt, err := s.commit(ctx, earlier(deadline, s.sweptNoSooner(read.asked)), writes...)
	if err != nil {
		return err
	}
	s.tellLogged(logged)
	s.appended(ctx, read.point, last, entries, &certifiedLedger{since: sent, changedAt: receipt.Requested})
	return nil
}

// inNoTopic is what entries say that was not stored before, and that no topic has:
// operators' moves, and retractions.
func inNoTopic(read ledgerDocuments, entries []ownership.LedgerEntry) (all []ownership.Change) {
	for _, e := range entries {
		if e.SaysNothing() {
			continue
		}
		before := read.entries[e.EventName()]
		if now := e.AsEntry(); read.toLog[e.EventName()] && !e.RetractionOnly && !now.Equal(before.AsEntry()) {
			all = append(all, ownership.Change{Entry: now})
		}
		for _, said := range e.Retractions[len(before.Retractions):] { // the first seen first
			all = append(all, ownership.Retraction(ownership.Version{Time: said.At, Source: e.Source, ID: e.ID}, said.By, said.Why))
		}
	}
	return all
}

// appended takes note of a commit to the ledger: as it held only if the head was
// at the point before, the ledger was that one with the entries, at a moment
// after the commit was sent, as what is certified says. If this process does not know
// the ledger before, it reads; if that fails it goes on as the others do, who do not
// know of the commit yet.
func (s *Store) appended(ctx context.Context, before point, last int64, entries []ownership.LedgerEntry, certified *certifiedLedger) {
	switch known := s.known(); {
	case known.Ledger != nil && known.Epoch() == before.epoch && known.Position() == before.position:
		certified.Ledger = known.With(last, entries)
		s.advance(certified)
	case known.Ledger == nil || known.Position() < before.position:
		_, _ = s.refreshLedger(ctx)
	}
}
