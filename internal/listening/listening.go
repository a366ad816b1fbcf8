// Package listening tracks a connection that reports changes as they happen and is
// reopened whenever it ends. It has a gauge of whether the connection is alive, and
// a log line if it cannot be opened, and another when it is alive again.
//
// That such a connection ends is usual, since services close them from time to
// time. So what is logged is an attempt that ended before it lived, once,
// however many follow.
package listening

import (
	"context"
	"log/slog"
	"sync"
)

// State is the state of one such connection. It is safe for concurrent use.
type State struct {
	logger     *slog.Logger
	lost, back string

	mu        sync.Mutex
	connected bool
	told      bool // that it cannot be opened
}

// New returns the state of a connection that is not open yet. The messages say
// what the program does without it, and that it is there again.
func New(logger *slog.Logger, lost, back string) *State {
	return &State{logger: logger, lost: lost, back: back}
}

// Lives notes that changes are told from now on.
func (s *State) Lives(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connected = true
	if s.told {
		s.told = false
		s.logger.InfoContext(ctx, s.back)
	}
}

// Ended notes that the connection, or the attempt to open one, ended with err.
func (s *State) Ended(ctx context.Context, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.connected && !s.told {
		s.told = true
		s.logger.WarnContext(ctx, s.lost, "error", err)
	}
	s.connected = false
}

// Connected is the value of a gauge: 1 while the connection lives, else 0.
func (s *State) Connected() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.connected {
		return 1
	}
	return 0
}
