package rules

import (
	"sync"
	"time"
)

// How fast one document may be written for long. Google's pages plan with once a
// second ("Maximum write rate to a document: 1 per second (Sustained rate)", in the
// quotas until 2023), and today name no number: "Above … you may see contention,
// higher latency, or other errors"
// (https://firebase.google.com/docs/firestore/best-practices#updates_to_a_single_document,
// https://cloud.google.com/firestore/docs/understand-reads-writes-scale).
const (
	SustainedWrites = 5  // a second, unless a test says otherwise
	WriteBurst      = 20 // at once, after a pause
)

// longestWait is how long a write waits for its document before it is aborted.
const longestWait = 2 * time.Second

// WriteRate sets how fast one document may be written for long, and how many writes
// it takes at once after a pause. Writes beyond that wait for their turn, longer
// and longer. Those that would wait for more than two seconds end with ABORTED
// after that time. A rate of zero means no bound. A test about contention sets its
// own.
func (f *Firestore) WriteRate(perSecond float64, burst int) {
	f.hot.mu.Lock()
	defer f.hot.mu.Unlock()
	f.hot.rate, f.hot.burst = perSecond, float64(burst)
}

// hotDocuments knows how fast each document is written.
type hotDocuments struct {
	mu          sync.Mutex
	rate, burst float64
	heats       map[string]*heat
	sweepAt     int // at this many, those that have cooled down are removed
}

type heat struct {
	spent float64   // the writes that still count for the rule
	level float64   // like spent, for the report and by its constants
	at    time.Time // of both
	rate
	hot bool
}

// rate returns the writes of the fastest second so far.
type rate struct {
	second       int64
	count        int
	fastest, sum int
}

func (r *rate) add(now time.Time) {
	if s := now.Unix(); s != r.second {
		r.second, r.count = s, 0
	}
	r.count++
	r.sum++
	r.fastest = max(r.fastest, r.count)
}

// take reserves a write of each document. It returns how long the writes have to
// wait, and which of them would have to wait too long.
func (d *hotDocuments) take(names []string, now time.Time) (wait time.Duration, late []int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rate == 0 {
		return 0, nil
	}
	for i, name := range names {
		h := d.heatLocked(name, now)
		turn := time.Duration((h.spent + 1 - d.burst) / d.rate * float64(time.Second))
		if turn > longestWait {
			late = append(late, i)
			turn = longestWait
		} else {
			h.spent++
		}
		wait = max(wait, turn)
	}
	return wait, late
}

// undo undoes take for documents that were not written in the end.
func (d *hotDocuments) undo(names []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range names {
		if h := d.heats[name]; h != nil {
			h.spent = max(0, h.spent-1)
		}
	}
}

// wrote records writes that succeeded.
func (d *hotDocuments) wrote(names []string, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range names {
		h := d.heatLocked(name, now)
		h.add(now)
		h.level++
		h.hot = h.hot || h.level > WriteBurst
	}
}

// heatLocked returns how hot a document is at a time.
func (d *hotDocuments) heatLocked(name string, now time.Time) *heat {
	h := d.heats[name]
	if h == nil {
		d.sweepLocked(now)
		h = &heat{at: now}
		d.heats[name] = h
	}
	d.coolLocked(h, now)
	return h
}

func (d *hotDocuments) coolLocked(h *heat, now time.Time) {
	passed := max(0, now.Sub(h.at).Seconds())
	h.spent = max(0, h.spent-passed*d.rate)
	h.level = max(0, h.level-passed*SustainedWrites)
	h.at = now
}

// sweepLocked forgets documents that were not written for a while, unless they
// belong in the report.
func (d *hotDocuments) sweepLocked(now time.Time) {
	const few = 10_000
	if d.heats == nil {
		d.heats, d.sweepAt = map[string]*heat{}, few
	}
	if len(d.heats) < d.sweepAt {
		return
	}
	for name, h := range d.heats {
		d.coolLocked(h, now)
		if h.spent == 0 && h.level == 0 && !h.hot {
			delete(d.heats, name)
		}
	}
	d.sweepAt = 2*len(d.heats) + few
}
