package replay

import (
	"fmt"
	"slices"
	"sync"
	"time"
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

// watermark is the position up to which every batch is done: batches end in any
// order.
type watermark struct {
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

func newWatermark(from Checkpoint) *watermark {
	counts := Counts{}
	counts.merge(from.Counts)
	return &watermark{at: Checkpoint{from.Position, from.Digest, counts}, saved: time.Now()}
}

func (w *watermark) begun(b *batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = append(w.open, &openBatch{number: b.number, after: Checkpoint{b.Works[len(b.Works)-1].at, b.digest, Counts{}}})
}

// done counts a batch, and returns all counts so far.
func (w *watermark) done(b *batch) Counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.open, func(o *openBatch) bool { return o.number == b.number })
	o := w.open[i]
	o.done = true
	for _, it := range b.Works {
		o.after.Counts.add(it.what(), it.Result.Outcome, 1)
	}
	for len(w.open) > 0 && w.open[0].done {
		w.at.Position, w.at.Digest = w.open[0].after.Position, w.open[0].after.Digest
		w.at.Counts.merge(w.open[0].after.Counts)
		w.open, w.changed = w.open[1:], true
	}
	return w.countsLocked()
}

func (w *watermark) counts() Counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.countsLocked()
}

func (w *watermark) countsLocked() Counts {
	all := Counts{}
	all.merge(w.at.Counts)
	for _, o := range w.open {
		if o.done {
			all.merge(o.after.Counts)
		}
	}
	return all
}

// locked calls one function at a time.
func (w *watermark) locked(f func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return f()
}

// save saves the checkpoint if the last one is a second old, or if it is
// the last.
func (w *watermark) save(save func(Checkpoint) error, last bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if save == nil || !w.changed || !last && time.Since(w.saved) < time.Second {
		return nil
	}
	w.saved, w.changed = time.Now(), false
	return save(w.at)
}
