package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/northstar-engines/realtime-registry/internal/interruptible"
	"github.com/northstar-engines/realtime-registry/internal/replay"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

// refusals records refused lines.
type refusals struct {
	where    string
	out      io.Writer                // JSON lines; nil: names of lines on standard error
	file     *os.File                 // behind out, if it is a regular file
	pipe     io.Closer                // behind out, if it is a pipe or a device
	noted    map[replay.Position]bool // before this replay was interrupted
	in       *invocation
	progress *progress
}

// refusals opens --refused. An existing file is replaced by a new one, never
// truncated, so other links to it keep its content. A replay that resumes goes on
// with the file.
func (in *invocation) refusals(ctx context.Context, resumed bool) (*refusals, error) {
	r := &refusals{where: "above", in: in}
	if in.Config.Refused == "" {
		return r, nil
	}
	r.where = in.Config.Refused
	if in.refusedOnStdout() {
		r.where, r.out = "standard output", in.Stdout
		return r, nil
	}
	if err := r.open(ctx, resumed); err != nil {
		return nil, fmt.Errorf("--refused: %w", err)
	}
	return r, nil
}

// refusedOnStdout reports whether refused lines go to standard output, by
// whatever name.
func (in *invocation) refusedOnStdout() bool {
	if in.Config.Refused == "-" {
		return true
	}
	stdout := fileOf(in.Stdout)
	if stdout == nil || in.Config.Refused == "" {
		return false
	}
	own, err1 := stdout.Stat()
	given, err2 := os.Stat(in.Config.Refused)
	return err1 == nil && err2 == nil && os.SameFile(own, given)
}

func (r *refusals) open(ctx context.Context, resumed bool) (err error) {
	name := r.in.Config.Refused
	info, err := os.Stat(name)
	switch there := err == nil; {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case there && !info.Mode().IsRegular(): // a pipe or a device, which has no content to keep
		pipe, err := interruptible.OpenToWrite(ctx, name)
		r.out, r.pipe = pipe, pipe
		return err
	case there && resumed:
		if r.file, err = os.OpenFile(name, os.O_RDWR, 0); err == nil {
			err = r.readNoted()
		}
		r.out = r.file
		return err
	}
	if r.file, err = os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*"); err != nil { // mode 0600: it holds events
		return err
	}
	if err := os.Rename(r.file.Name(), name); err != nil {
		return errors.Join(err, r.file.Close(), os.Remove(r.file.Name()))
	}
	r.out = r.file
	return nil
}

// readNoted reads what was recorded before, so that no line is recorded twice, and
// cuts off a line that a kill left unfinished.
func (r *refusals) readNoted() error {
	r.noted = map[replay.Position]bool{}
	var whole int64
	for lines := bufio.NewReader(r.file); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		var refusal replay.Refusal
		if json.Unmarshal(line, &refusal) == nil {
			r.noted[replay.Position{File: refusal.File, Line: refusal.Line}] = true
		}
		whole += int64(len(line))
	}
	if err := r.file.Truncate(whole); err != nil {
		return err
	}
	_, err := r.file.Seek(whole, io.SeekStart)
	return err
}

func (r *refusals) write(refusal replay.Refusal) error {
	if r.out == nil {
		if r.progress != nil {
			r.progress.clear()
		}
		_, err := fmt.Fprintf(r.in.Stderr, "%s:%d: %s: %s\n", terminal.Quote(refusal.File), refusal.Line, refusal.Reason, terminal.Line(refusal.Detail))
		return err
	}
	if r.noted[replay.Position{File: refusal.File, Line: refusal.Line}] {
		return nil
	}
	return terminal.JSON(r.out).Encode(refusal)
}

// save makes sure that everything recorded is on the disk: a checkpoint must not
// survive a crash that its refusals do not.
func (r *refusals) save() error {
	if r.file == nil {
		return nil
	}
	return r.file.Sync()
}

func (r *refusals) close() error {
	switch {
	case r.file != nil:
		return errors.Join(r.save(), r.file.Close())
	case r.pipe != nil:
		return r.pipe.Close()
	}
	return nil
}
