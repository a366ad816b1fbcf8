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
	if err := s.mayWrite(); err != nil {
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

// Retract implements registry.Store.
func (s *Store) Retract(ctx context.Context, r registry.Retraction) registry.Outcome {
	return s.changeLedger(ctx, []registry.LedgerChange{r.LedgerChange()})[0]
}

// changeLedger applies changes to the ledger: all the entries and the position
// in one commit. An answer that was lost is made good for by reading again,
// once.
func (s *Store) changeLedger(ctx context.Context, changes []registry.LedgerChange) []registry.Outcome {
	var sent []registry.Outcome // of a commit that may have happened
	for range raceAttempts {
		if err := ctx.Err(); err != nil {
			return allFailed(changes, unavailable(err))
		}
		if err := s.interrupt(ReadRecord); err != nil {
			return allFailed(changes, err)
		}
		if err := s.mayWrite(); err != nil {
			return allFailed(changes, err)
		}
		read := s.readEntries(changes)
		writes, outcomes := registry.UpdateLedger(read.seq, read.now, read.entries, changes)
		if len(writes) == 0 {
			return settled(outcomes, sent)
		}
		switch err := s.commitEntries(read, writes); {
		case err == nil:
			return settled(outcomes, sent)
		case errors.Is(err, errLostRace):
		case sent != nil:
			return allFailed(changes, err)
		default:
			sent = outcomes
		}
	}
	return allFailed(changes, unavailable(errors.New("the ledger never stood still")))
}

// settled is outcomes, with what a commit whose answer was lost had said of
// those that are duplicates since.
func settled(outcomes, sent []registry.Outcome) []registry.Outcome {
	for i := range sent {
		if outcomes[i].Kind == registry.Duplicate {
			outcomes[i] = sent[i]
		}
	}
	return outcomes
}

func allFailed(changes []registry.LedgerChange, err error) []registry.Outcome {
	outcomes := make([]registry.Outcome, len(changes))
	for i, c := range changes {
		outcomes[i] = failed(fmt.Sprintf("change the ledger by %s", c.Event.ID), err)
	}
	return outcomes
}

// readLedger is what one read saw of the ledger.
type readLedger struct {
	entries map[registry.EventName]registry.LedgerEntry
	updated map[registry.EventName]time.Time
	seq     int64
	now     time.Time
}

func (d *database) readEntries(changes []registry.LedgerChange) readLedger {
	d.mu.RLock()
	defer d.mu.RUnlock()
	read := readLedger{map[registry.EventName]registry.LedgerEntry{}, map[registry.EventName]time.Time{}, d.seq, d.clock()}
	for _, c := range changes {
		if e, ok := d.entries[c.Event]; ok {
			read.entries[c.Event], read.updated[c.Event] = e.LedgerEntry, e.updateTime
		}
	}
	return read
}

func (s *Store) commitEntries(read readLedger, writes []registry.LedgerEntry) error {
	if err := s.interrupt(Commit); err != nil {
		return err
	}
	if !s.putEntries(read, writes) {
		_ = s.interrupt(LostRace)
		return errLostRace
	}
	return s.interrupt(Answer)
}

// putEntries changes entries and raises the position, unless one of them has
// changed since it was read.
func (d *database) putEntries(read readLedger, writes []registry.LedgerEntry) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range writes {
		if !d.entries[e.EventName()].updateTime.Equal(read.updated[e.EventName()]) {
			return false
		}
	}
	if d.seq != read.seq {
		return false
	}
	at := d.tick()
	for _, e := range writes {
		d.entries[e.EventName()] = ledgerDocument{e, at}
	}
	d.seq += int64(len(writes))
	d.ledger = d.ledger.With(d.seq, writes)
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
