package replay

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/northstar-engines/realtime-registry/handlers"
)

// Position names a line.
type Position struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

func (p Position) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Checkpoint says that all lines up to and with Position are applied, and what
// became of them. The zero Checkpoint is before the first line.
type Checkpoint struct {
	Position Position `json:"position"`
	// Digest is of all that was read up to and with Position
	// (archive.Reader.Digest): what is skipped must be what was applied.
	Digest string `json:"digest"`
	Counts Counts `json:"counts"`
}

// lowWater keeps the position up to which every batch is done: batches end in
// any order.
type lowWater struct {
	mu      sync.Mutex
	at      Checkpoint   // all before are done
	open    []*openBatch // in order, the first is not done
	saved   time.Time
	changed bool
}

type openBatch struct {
	number int
	done   bool
	after  Checkpoint // its last line, and its own counts
}

func newLowWater(from Checkpoint) *lowWater {
	counts := Counts{}
	counts.merge(from.Counts)
	return &lowWater{at: Checkpoint{from.Position, from.Digest, counts}, saved: time.Now()}
}

func (l *lowWater) begun(b *batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = append(l.open, &openBatch{number: b.number, after: Checkpoint{b.items[len(b.items)-1].at, b.digest, Counts{}}})
}

// done counts a batch, and returns all counts so far.
func (l *lowWater) done(b *batch, results []handlers.Result) Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.open, func(o *openBatch) bool { return o.number == b.number })
	o := l.open[i]
	o.done = true
	for j, result := range results {
		o.after.Counts.add(b.items[j].what(), result.Verdict, 1)
	}
	for len(l.open) > 0 && l.open[0].done {
		l.at.Position, l.at.Digest = l.open[0].after.Position, l.open[0].after.Digest
		l.at.Counts.merge(l.open[0].after.Counts)
		l.open, l.changed = l.open[1:], true
	}
	return l.countsLocked()
}

func (l *lowWater) counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.countsLocked()
}

func (l *lowWater) countsLocked() Counts {
	all := Counts{}
	all.merge(l.at.Counts)
	for _, o := range l.open {
		if o.done {
			all.merge(o.after.Counts)
		}
	}
	return all
}

// locked calls one function at a time.
func (l *lowWater) locked(f func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return f()
}

// save saves the checkpoint if the last one is a second old, or if it is
// the last.
func (l *lowWater) save(save func(Checkpoint) error, last bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if save == nil || !l.changed || !last && time.Since(l.saved) < time.Second {
		return nil
	}
	l.saved, l.changed = time.Now(), false
	return save(l.at)
}
