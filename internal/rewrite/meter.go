package rewrite

import (
	"sync"
	"time"
)

// leastMeasured is for how long all slots must have been at work for their rate to say
// something.
const leastMeasured = 5 * time.Second

// governed is the share of what the governor allows from which on it is the governor
// that bounds a worker, and not what the worker can do.
const governed = 0.9

// meter measures how many documents a second a worker has while there is enough to do
// for all of its slots.
type meter struct {
	mu        sync.Mutex
	slots     int
	busy      int
	since     time.Time     // when busy last changed, or full was reckoned
	full      time.Duration // for how long all slots were at work
	documents int64         // of that time
}

// add says that so many more slots are at work.
func (m *meter) add(slots int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reckonLocked()
	m.busy += slots
}

// working returns how many slots are at work.
func (m *meter) working() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.busy
}

func (m *meter) reckonLocked() {
	now := time.Now()
	if m.busy == m.slots {
		m.full += now.Sub(m.since)
	}
	m.since = now
}

// visited says that documents are done.
func (m *meter) visited(documents int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.busy == m.slots {
		m.documents += int64(documents)
	}
}

// had returns the documents a second since it last returned any; 0 if that was not
// for long enough.
func (m *meter) had() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reckonLocked()
	if m.full < leastMeasured {
		return 0
	}
	had := float64(m.documents) / m.full.Seconds()
	m.full, m.documents = 0, 0
	return had
}
