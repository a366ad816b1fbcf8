package api

import (
	"sync"
	"time"
)

// slack is how much earlier than asked a deadline may come.
const slack = 250 * time.Millisecond

// deadline is one of the two that a connection has: of its reads, or of its writes.
// net/http sets five for each request and replaces most of them before anything
// waits, at a twentieth of what a check from memory costs. So a deadline is set on
// the connection when a call begins that could wait, or while one waits; and it is
// not set again if the one in force comes no more than slack before it.
type deadline struct {
	set func(time.Time) error // on the connection

	mu      sync.Mutex
	wanted  time.Time // the zero time is none
	inForce time.Time
	waiting int // calls in progress
}

// want sets the deadline for all calls, even those in progress.
func (d *deadline) want(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted = t
	if d.waiting == 0 {
		return nil
	}
	return d.enforceLocked()
}

// begin is called before a call that could wait, and end after it.
func (d *deadline) begin() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting++
	return d.enforceLocked()
}

func (d *deadline) end() {
	d.mu.Lock()
	d.waiting--
	d.mu.Unlock()
}

func (d *deadline) enforceLocked() error {
	if d.wanted.IsZero() == d.inForce.IsZero() {
		if early := d.wanted.Sub(d.inForce); 0 <= early && early < slack {
			return nil
		}
	}
	if err := d.set(d.wanted); err != nil {
		return err
	}
	d.inForce = d.wanted
	return nil
}
