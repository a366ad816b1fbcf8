package memory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
)

// certifiedLedger is a ledger of which it is known that there was no newer one
// at a time, by the store's clock.
type certifiedLedger struct {
	*registry.Ledger
	since time.Time
}

// knownLedger is what a handle knows of the ledger.
type knownLedger struct {
	mu sync.Mutex
	certifiedLedger
}

// freshLedger returns a ledger that is less than LedgerStaleness old.
func (s *Store) freshLedger() (*certifiedLedger, error) {
	s.known.mu.Lock()
	known := s.known.certifiedLedger
	s.known.mu.Unlock()
	s.mu.RLock()
	fresh := s.clock().Sub(known.since) < s.o.LedgerStaleness
	s.mu.RUnlock()
	if fresh {
		return &known, nil
	}
	return s.refreshLedger()
}

func (s *Store) refreshLedger() (*certifiedLedger, error) {
	if err := s.interrupt(ReadLedger); err != nil {
		return nil, err
	}
	s.mu.RLock()
	read := certifiedLedger{s.ledger, s.clock()}
	s.mu.RUnlock()
	s.known.mu.Lock()
	defer s.known.mu.Unlock()
	if read.since.After(s.known.since) || s.known.since.IsZero() {
		s.known.certifiedLedger = read
	}
	return &read, nil
}

// append merges a moved entry into the ledger.
func (s *Store) append(ctx context.Context, e registry.Entry) registry.Outcome {
	changed, err := s.changeLedger(ctx, e.Version, func(before registry.LedgerEntry, exists bool, _ time.Time) (registry.LedgerEntry, bool) {
		return before.Merge(e, exists)
	})
	return ledgerOutcome(fmt.Sprintf("append %s to the ledger", e.ID), changed, err)
}

// Retract implements registry.Store.
func (s *Store) Retract(ctx context.Context, r registry.Retraction) registry.Outcome {
	version := registry.Version{Source: r.Source, ID: r.ID}
	changed, err := s.changeLedger(ctx, version, func(before registry.LedgerEntry, exists bool, now time.Time) (registry.LedgerEntry, bool) {
		if r.At.IsZero() {
			r.At = now
		}
		return before.Retract(r, exists)
	})
	return ledgerOutcome(fmt.Sprintf("retract %s", r.ID), changed, err)
}

func ledgerOutcome(operation string, changed bool, err error) registry.Outcome {
	switch {
	case err != nil:
		return failed(operation, err)
	case !changed:
		return registry.Outcome{Kind: registry.Duplicate}
	}
	return registry.Outcome{Kind: registry.Applied}
}

// changeLedger applies a pure change to one entry: the entry and the position in
// one commit. An answer that was lost is made good for by reading again.
func (s *Store) changeLedger(ctx context.Context, v registry.Version, change func(registry.LedgerEntry, bool, time.Time) (registry.LedgerEntry, bool)) (bool, error) {
	key, sent := event{v.Source, v.ID}, false
	for range raceAttempts {
		if err := ctx.Err(); err != nil {
			return false, unavailable(err)
		}
		if err := s.interrupt(ReadRecord); err != nil {
			return false, err
		}
		before, exists, seq, now := s.readEntry(key)
		after, changed := change(before.LedgerEntry, exists, now)
		if !changed {
			return sent, nil
		}
		after.ChangedAt = now
		if err := s.interrupt(Commit); err != nil {
			return false, err
		}
		if !s.putEntry(key, before.updateTime, seq, after) {
			continue
		}
		err := s.interrupt(Answer)
		if err == nil {
			return true, nil
		}
		if sent {
			return false, err
		}
		sent = true
	}
	return false, unavailable(errors.New("the ledger never stood still"))
}

func (d *database) readEntry(key event) (e ledgerDocument, exists bool, seq int64, now time.Time) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	e, exists = d.entries[key]
	return e, exists, d.seq, d.clock()
}

// putEntry changes an entry and raises the position, unless either has changed
// since it was read.
func (d *database) putEntry(key event, updateTime time.Time, seq int64, e registry.LedgerEntry) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seq != seq || !d.entries[key].updateTime.Equal(updateTime) {
		return false
	}
	d.seq++
	e.Seq = d.seq
	d.entries[key] = ledgerDocument{e, d.tick()}
	d.ledger = registry.NewLedger(d.seq, d.moves())
	d.announce()
	return true
}

// Moves implements registry.Store.
func (s *Store) Moves(ctx context.Context) ([]registry.LedgerEntry, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read the ledger: %w", unavailable(err))
	}
	if err := s.interrupt(ReadLedger); err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return registry.NewLedger(s.seq, s.moves()).Entries(), nil
}

func (d *database) moves() []registry.LedgerEntry {
	var entries []registry.LedgerEntry
	for _, e := range slices.Collect(maps.Values(d.entries)) {
		entries = append(entries, e.LedgerEntry)
	}
	return entries
}
