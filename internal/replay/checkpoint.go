package replay

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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
	Counts   Counts   `json:"counts"`
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
	return &lowWater{at: Checkpoint{from.Position, counts}, saved: time.Now()}
}

func (l *lowWater) begun(b *batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = append(l.open, &openBatch{number: b.number, after: Checkpoint{b.items[len(b.items)-1].at, Counts{}}})
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
		l.at.Position = l.open[0].after.Position
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

// save saves the checkpoint where the last one is a second old, or where it is
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

// File is a checkpoint on disk, with the archive that it is of.
type File struct {
	Path    string
	Archive []ArchiveFile
}

// ArchiveFile is one file of an archive.
type ArchiveFile struct {
	Name string `json:"name"`
	Size int64  `json:"size"` // 0 for standard input
	// Begins is a hash of the first 64 KiB; "" for standard input.
	Begins string `json:"begins"`
}

// fileOf describes a file as it is. One that cannot be read is told by who opens
// it.
func fileOf(name string) ArchiveFile {
	file := ArchiveFile{Name: name}
	if name == "-" {
		return file
	}
	f, err := os.Open(name)
	if err != nil {
		return file
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		file.Size = info.Size()
	}
	hash := sha256.New()
	_, _ = io.Copy(hash, io.LimitReader(f, 64<<10))
	file.Begins = hex.EncodeToString(hash.Sum(nil))
	return file
}

type checkpointFile struct {
	Archive []ArchiveFile `json:"archive"`
	Checkpoint
}

// OpenFile returns the checkpoint of a replay of these files, "-" being standard
// input, and where it stands: zero where there is none yet. A checkpoint of
// other files, or of files that have changed in size or in how they begin, is an
// error.
func OpenFile(path string, files []string) (*File, Checkpoint, error) {
	f := &File{Path: path}
	for _, name := range files {
		f.Archive = append(f.Archive, fileOf(name))
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, Checkpoint{}, f.writable()
	}
	if err != nil {
		return nil, Checkpoint{}, fmt.Errorf("read checkpoint: %w", err)
	}
	var stored checkpointFile
	if err := json.Unmarshal(text, &stored); err != nil {
		return nil, Checkpoint{}, fmt.Errorf("read checkpoint %s: it is none: %w", path, err)
	}
	if !slices.Equal(stored.Archive, f.Archive) {
		return nil, Checkpoint{}, fmt.Errorf("checkpoint %s is of another archive, or of one that has changed since: remove it to begin anew", path)
	}
	return f, stored.Checkpoint, nil
}

// writable tells at the start what would else be told when all is done.
func (f *File) writable() error {
	trial, err := os.CreateTemp(filepath.Dir(f.Path), filepath.Base(f.Path)+".*")
	if err != nil {
		return fmt.Errorf("checkpoint %s: %w", f.Path, err)
	}
	return errors.Join(trial.Close(), os.Remove(trial.Name()))
}

// Save replaces the checkpoint: a kill leaves the old one or the new one.
func (f *File) Save(c Checkpoint) error {
	text, err := json.Marshal(checkpointFile{f.Archive, c})
	if err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	fresh, err := os.CreateTemp(filepath.Dir(f.Path), filepath.Base(f.Path)+".*")
	if err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	_, err = fresh.Write(append(text, '\n'))
	if err = errors.Join(err, fresh.Close()); err == nil {
		err = os.Rename(fresh.Name(), f.Path)
	}
	if err != nil {
		return fmt.Errorf("save checkpoint: %w", errors.Join(err, os.Remove(fresh.Name())))
	}
	return nil
}

// Remove removes the checkpoint of a replay that has ended.
func (f *File) Remove() error {
	if err := os.Remove(f.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove checkpoint: %w", err)
	}
	return nil
}
