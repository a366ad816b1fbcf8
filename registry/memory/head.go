package memory

import (
	"cmp"
	"fmt"
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
)

// The fields of the ledger's head that say who may take part: see package
// registry/firestore.
const (
	headFormat     = "format"
	headReader     = "min_reader"
	headWriter     = "min_writer"
	headStaleness  = "ledger_staleness_ms"
	headCommitTime = "commit_deadline_ms"
)

// SetHead changes a field of the ledger's head, as a later release may; 0 says
// nothing. For tests.
func (d *database) SetHead(field string, value int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.head[field] = value
}

// mayRead returns why this handle must not read.
func (s *Store) mayRead() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := registry.CheckFormat(s.head[headFormat]); err != nil {
		return incompatible(err)
	}
	if least := s.head[headReader]; least > registry.Format {
		return incompatible(fmt.Errorf("reads take format %d, and this version has %d", least, registry.Format))
	}
	return cmp.Or(
		differs("LedgerStaleness", s.o.LedgerStaleness, s.head[headStaleness]),
		differs("CommitDeadline", s.o.CommitDeadline, s.head[headCommitTime]))
}

// mayWrite returns why this handle must not write. Handles learn of it when they
// look at the ledger.
func (s *Store) mayWrite() error {
	if err := s.mayRead(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if least := s.head[headWriter]; least > registry.Format {
		return incompatible(fmt.Errorf("writes take format %d, and this version has %d", least, registry.Format))
	}
	return nil
}

func differs(name string, ours time.Duration, theirs int64) error {
	if stored := time.Duration(theirs) * time.Millisecond; theirs != 0 && ours != 0 && stored != ours {
		return incompatible(fmt.Errorf("%s is %v here, and %v for the registry", name, ours, stored))
	}
	return nil
}

func incompatible(why error) error {
	return fmt.Errorf("the ledger's head: %w, %w: %w (docs/upgrades.md)", registry.ErrUnavailable, registry.ErrIncompatible, why)
}
