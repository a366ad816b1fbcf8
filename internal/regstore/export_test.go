package regstore

import (
	"context"
	"time"
)

// WaitingForTheLedger is how many changes wait for the ledger's lane.
func (s *Store) WaitingForTheLedger() int {
	s.lane.mu.Lock()
	defer s.lane.mu.Unlock()
	return len(s.lane.waiting)
}

// MakeHead makes the ledger's head, as the first write does.
func (s *Store) MakeHead(ctx context.Context) error { return s.mayWrite(ctx) }

// WaitForQueries makes a query of the ledger hold up the next one for so long.
func (s *Store) WaitForQueries(patience time.Duration) { s.reads.patience = patience }

// WantedLedgers is how many reads wait for the next query of the ledger.
func (s *Store) WantedLedgers() int {
	s.reads.mu.Lock()
	defer s.reads.mu.Unlock()
	return len(s.reads.wanted)
}

// GivesWay is how long this process waits for others before it writes the head,
// once nothing waits for the ledger.
func (s *Store) GivesWay() time.Duration {
	for {
		s.lane.mu.Lock()
		if !s.lane.running {
			defer s.lane.mu.Unlock()
			return s.lane.yield
		}
		s.lane.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
}
