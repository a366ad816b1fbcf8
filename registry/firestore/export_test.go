package firestore

// WaitingForTheLedger is how many changes wait for the ledger's lane.
func (s *Store) WaitingForTheLedger() int {
	s.lane.mu.Lock()
	defer s.lane.mu.Unlock()
	return len(s.lane.waiting)
}
