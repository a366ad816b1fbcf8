package verifier

import "sync"

// watchers are those that are open.
type watchers struct {
	mu  sync.Mutex
	set map[*Watcher]struct{}
}

func (s *watchers) add(w *Watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set == nil {
		s.set = map[*Watcher]struct{}{}
	}
	s.set[w] = struct{}{}
}

func (s *watchers) remove(w *Watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.set, w)
}

func (s *watchers) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.set)
}

func (s *watchers) each(do func(*Watcher)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.set {
		do(w)
	}
}
