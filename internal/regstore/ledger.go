package regstore

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

// ledgerName is injective over events: a hash, since sources and ids may hold
// what a document name may not.
func (s *Store) ledgerName(event ownership.EventName) string {
	hash := sha256.Sum256([]byte(event.Source + "\x00" + event.ID))
	return s.db.Name(LedgerCollection, base64.RawURLEncoding.EncodeToString(hash[:]))
}

// advance takes note of a ledger. Of two positions of an epoch the greater is the
// later. It is known to have been the newest at the later of both times: nothing up to
// then is missing from the one that was read later, and all of that is in the one with
// the greater position. A ledger of the head's epoch takes the place of any other, and
// one of an epoch before is not kept.
func (s *Store) advance(to *certifiedLedger) {
	s.reads.keep(to.Ledger)
	for {
		known := s.cached.Load()
		newest := to
		switch {
		case !s.ofThisEpoch(to.Ledger):
			return
		case !known.SameEpoch(to.Ledger):
		case to.Ledger == nil || known.Ledger != nil && to.Position() < known.Position():
			newest = &certifiedLedger{known.Ledger, later(known.since, to.since), known.changedAt}
		default:
			newest = &certifiedLedger{to.Ledger, later(known.since, to.since), to.changedAt}
			if known.Position() == to.Position() && to.changedAt.IsZero() {
				newest.changedAt = known.changedAt
			}
		}
		if s.cached.CompareAndSwap(known, newest) {
			return
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// ledgerAt returns the ledger at the point at which a read that was sent at sent has
// found the head, as of a time; nil if the registry had none. base is a ledger that was
// known before the read was sent.
func (s *Store) ledgerAt(ctx context.Context, base *certifiedLedger, now point, at, sent time.Time) (ledger *ownership.Ledger, err error) {
	if now.exists && !s.isEpoch(now.epoch) {
		return nil, unavailable("read the ledger", fmt.Errorf("the registry was recovered meanwhile: %w", errTwoTimes))
	}
	if err := s.wentBack(ctx, base, now); err != nil {
		return nil, err
	}
	if now.exists {
		if ledger, err = s.reads.ledger(ctx, base.Ledger, now, at); err != nil {
			return nil, err
		}
	}
	s.advance(&certifiedLedger{ledger, sent, now.changedAt})
	return ledger, nil
}

// freshLedger returns a ledger that is at most LedgerStaleness old, for writers,
// if this process may write.
func (s *Store) freshLedger(ctx context.Context) (*certifiedLedger, error) {
	if err := s.mayWrite(ctx); err != nil {
		return nil, err
	}
	if c := s.known(); time.Since(c.since) < s.ledgerStaleness {
		return c, nil
	}
	ledger, err := s.refreshLedger(ctx)
	if err != nil {
		return nil, err
	}
	return ledger, s.mayWrite(ctx) // the head may say another thing by now
}

// refreshLedger reads the head strongly, and what has changed in the ledger since
// the one that is known, if anything has. Callers that wait for one another share
// the work, each for no longer than its own ctx; a read that does not end holds
// them up for CommitDeadline.
// (The first read, of all there is, is bounded by its caller alone: others wait
// for Open.)
func (s *Store) refreshLedger(ctx context.Context) (*certifiedLedger, error) {
	began := time.Now()
	select {
	case s.refresh <- struct{}{}:
		defer func() { <-s.refresh }()
	case <-ctx.Done():
		return nil, unavailable("read the ledger", ctx.Err())
	}
	known := s.known()
	if !known.since.IsZero() {
		bounded, cancel := context.WithTimeout(ctx, s.commitDeadline)
		defer cancel()
		ctx = bounded
	}
	if known.since.After(began) {
		return known, nil
	}
	if _, err := s.readWithHead(ctx, nil); err != nil {
		return nil, err
	}
	if known = s.known(); known.since.IsZero() {
		return nil, unavailable("read the ledger", errors.New("the registry was recovered meanwhile"))
	}
	return known, nil
}

// ledgerFor is freshLedger, not older than any of the records.
func (s *Store) ledgerFor(ctx context.Context, records []ownership.Record) (*certifiedLedger, error) {
	ledger, err := s.freshLedger(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if r.LedgerPosition > ledger.Position() {
			return s.refreshLedger(ctx)
		}
	}
	return ledger, nil
}

// queryLedger returns the entries whose field is greater than after, in the
// order of that field, at most limit of them if that is not 0, as of a time
// if that is not zero.
func (s *Store) queryLedger(ctx context.Context, by string, after int64, limit int, at time.Time) (found []*docdb.Document, err error) {
	err = s.query(ctx, s.ledgerQuery(by, after, limit, at), func(d *docdb.Document) error {
		found = append(found, d)
		return nil
	})
	return found, err
}

func (s *Store) ledgerQuery(by string, after int64, limit int, at time.Time) docdb.Query {
	return docdb.Query{
		Collection: LedgerCollection,
		Any:        []docdb.Filter{{Field: by, Op: docdb.Greater, Value: docdb.Integer(after)}},
		OrderBy:    by,
		Limit:      limit,
		At:         at,
	}
}

// ledgerEntries returns the entries that have changed after a position, and the
// position of the last change; as of a time if that is not zero.
func (s *Store) ledgerEntries(ctx context.Context, after int64, at time.Time) (entries []ownership.LedgerEntry, last int64, err error) {
	documents, err := s.queryLedger(ctx, fieldSeq, after, 0, at)
	if err != nil {
		return nil, 0, unavailable("read the ledger", err)
	}
	last = after
	for _, d := range documents {
		if at := d.Fields[fieldSeq].GetIntegerValue(); at < fenceBeyond {
			last = max(last, at)
		}
		if !s.isFence(d) {
			entries = append(entries, s.decodeLedgerEntry(ctx, d))
		}
	}
	return entries, last, nil
}

// decodeLedgerEntry tells of an entry that is not understood.
func (s *Store) decodeLedgerEntry(ctx context.Context, d *docdb.Document) ownership.LedgerEntry {
	e := decodeLedgerEntry(d)
	_ = s.tooNew(ctx, "ledger", e.Unread)
	return e
}
