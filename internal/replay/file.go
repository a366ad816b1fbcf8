package replay

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Subject is what a checkpoint is of. It is for no other replay: what it says is
// applied is not applied elsewhere.
type Subject struct {
	Target  string   `json:"target"`  // project, database, prefix, emulator or production
	Files   []string `json:"files"`   // "-" is standard input
	Options string   `json:"options"` // those that decide which lines are applied
}

// differs names what two subjects differ in, or returns "".
func (s Subject) differs(from Subject) string {
	switch {
	case s.Target != from.Target:
		return fmt.Sprintf("to %s, and this one is to %s", s.Target, from.Target)
	case strings.Join(s.Files, "\x00") != strings.Join(from.Files, "\x00"):
		return fmt.Sprintf("of %q, and this one is of %q", s.Files, from.Files)
	case s.Options != from.Options:
		return fmt.Sprintf("with %s, and this one is with %s", s.Options, from.Options)
	}
	return ""
}

// File is a checkpoint on disk.
type File struct {
	Path string
	Of   Subject
}

// checkpointFile is its content.
type checkpointFile struct {
	Subject
	Checkpoint
}

// OpenFile returns the checkpoint of a replay, and where it stands: zero if
// there is none yet. One of another subject is an error that names the
// difference. Whether the files hold what they did is seen when they are read.
func OpenFile(path string, of Subject) (*File, Checkpoint, error) {
	f := &File{path, of}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f, Checkpoint{}, f.writable()
	case err != nil:
		return nil, Checkpoint{}, fmt.Errorf("read checkpoint: %w", err)
	case !info.Mode().IsRegular():
		return nil, Checkpoint{}, fmt.Errorf("checkpoint %s: want a regular file", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, Checkpoint{}, fmt.Errorf("read checkpoint: %w", err)
	}
	var stored checkpointFile
	if err := json.Unmarshal(text, &stored); err != nil {
		return nil, Checkpoint{}, fmt.Errorf("read checkpoint %s: it is none: %w", path, err)
	}
	if stored.Target == "" || stored.Digest == "" {
		return nil, Checkpoint{}, fmt.Errorf("checkpoint %s does not say what it is of, as those of earlier releases: remove it to begin anew", path)
	}
	if difference := stored.differs(of); difference != "" {
		return nil, Checkpoint{}, fmt.Errorf("checkpoint %s is of a replay %s: name another checkpoint, or remove this one to begin anew", path, difference)
	}
	return f, stored.Checkpoint, f.writable()
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
	text, err := json.Marshal(checkpointFile{f.Of, c})
	if err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	fresh, err := os.CreateTemp(filepath.Dir(f.Path), filepath.Base(f.Path)+".*")
	if err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	_, err = fresh.Write(append(text, '\n'))
	if err = errors.Join(err, fresh.Sync(), fresh.Close()); err == nil {
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
