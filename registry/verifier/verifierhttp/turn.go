package verifierhttp

import "time"

// turn is the right to write to a connection: a lock for which one can wait with a
// timeout.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) take()    { t <- struct{}{} }
func (t turn) release() { <-t }

// within takes the turn, and reports whether it got it within that time.
func (t turn) within(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case t <- struct{}{}:
		return true
	case <-timer.C:
		return false
	}
}
