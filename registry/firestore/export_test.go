package firestore

import "context"

// WaitingForTheLedger is how many changes wait for the ledger's lane.
func (s *Store) WaitingForTheLedger() int {
	s.lane.mu.Lock()
	defer s.lane.mu.Unlock()
	return len(s.lane.waiting)
}

// MakeHead makes the ledger's head, as the first write does.
func (s *Store) MakeHead(ctx context.Context) error { return s.mayWrite(ctx) }
