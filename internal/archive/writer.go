package archive

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/events"
)

// A Writer writes an archive. It is not safe for concurrent use.
type Writer struct {
	name    string
	buffer  *bufio.Writer
	closers []io.Closer // outermost first
	fresh   string      // renamed to name at the end; "" for stdout
	hash    hash.Hash   // of all lines since Begin; nil before
	events  int         // lines since Begin
}

// Create makes the file, and gzips it if the name ends in .gz. "-" is stdout, which
// is not closed. The file appears, or replaces an earlier one, only when Close has
// returned nil. Only its owner can read it.
func Create(name string, stdout io.Writer) (*Writer, error) {
	w := &Writer{name: name}
	output := stdout
	if name != "-" {
		f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
		if err != nil {
			return nil, fmt.Errorf("create archive: %w", err)
		}
		output, w.fresh = f, f.Name()
		w.closers = []io.Closer{f}
	}
	if strings.HasSuffix(name, ".gz") {
		zip := gzip.NewWriter(output)
		output = zip
		w.closers = append([]io.Closer{zip}, w.closers...)
	}
	w.buffer = bufio.NewWriterSize(output, 64<<10)
	return w, nil
}

// Begin writes the first line, which says where the events are from and when
// they were read.
func (w *Writer) Begin(o Origin) error {
	line, err := newFrameLine(beganType, "began", o.Time, o)
	if err != nil {
		return fmt.Errorf("write archive %s: %w", w.name, err)
	}
	w.hash = sha256.New()
	err = w.WriteLine(line)
	w.events = 0
	return err
}

// End writes the last line, with which a reader knows that nothing is missing.
func (w *Writer) End(at time.Time) error {
	line, err := newFrameLine(endedType, "ended", at, ending{w.events, hex.EncodeToString(w.hash.Sum(nil))})
	if err != nil {
		return fmt.Errorf("write archive %s: %w", w.name, err)
	}
	return w.WriteLine(line)
}

// Write appends an event as one line.
func (w *Writer) Write(e events.Event) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write archive %s: %w", w.name, err)
	}
	return w.WriteLine(line)
}

// WriteLine appends a line unchanged. It was read before, and has no line end.
func (w *Writer) WriteLine(line []byte) error {
	if w.hash != nil {
		w.hash.Write(line)
		w.hash.Write([]byte{'\n'})
		w.events++
	}
	_, err := w.buffer.Write(line)
	if err == nil {
		err = w.buffer.WriteByte('\n')
	}
	if err != nil {
		return fmt.Errorf("write archive %s: %w", w.name, err)
	}
	return nil
}

// Discard removes what was written to a file, in place of Close.
func (w *Writer) Discard() error {
	fresh := w.fresh
	if fresh == "" {
		return nil
	}
	w.fresh = ""
	var faults []error
	for _, c := range w.closers {
		faults = append(faults, c.Close())
	}
	w.closers = nil
	return errors.Join(append(faults, os.Remove(fresh))...)
}

// Close writes out what is buffered and closes the file. Closing again does
// nothing.
func (w *Writer) Close() error {
	faults := []error{w.buffer.Flush()}
	for _, c := range w.closers {
		faults = append(faults, c.Close())
	}
	w.closers = nil
	err := errors.Join(faults...)
	if fresh := w.fresh; fresh != "" {
		w.fresh = ""
		if err == nil {
			err = os.Rename(fresh, w.name)
		}
		if err != nil {
			err = errors.Join(err, os.Remove(fresh))
		}
	}
	if err != nil {
		return fmt.Errorf("close archive %s: %w", w.name, err)
	}
	return nil
}
