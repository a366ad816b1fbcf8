package archive

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/northstar-engines/realtime-registry/events"
)

// Writer writes an archive. It is not safe for concurrent use.
type Writer struct {
	name    string
	buffer  *bufio.Writer
	closers []io.Closer // outermost first
}

// Create makes the file, or truncates it, and gzips it where the name ends in
// .gz. "-" is stdout, which is not closed. What was written is in the file only
// when Close has returned nil.
func Create(name string, stdout io.Writer) (*Writer, error) {
	w := &Writer{name: name}
	output := stdout
	if name != "-" {
		f, err := os.Create(name)
		if err != nil {
			return nil, fmt.Errorf("create archive: %w", err)
		}
		output = f
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

// Write appends an event as one line.
func (w *Writer) Write(e events.Event) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write archive %s: %w", w.name, err)
	}
	return w.WriteLine(line)
}

// WriteLine appends a line as it is: one that was read before, and holds no
// line end.
func (w *Writer) WriteLine(line []byte) error {
	_, err := w.buffer.Write(line)
	if err == nil {
		err = w.buffer.WriteByte('\n')
	}
	if err != nil {
		return fmt.Errorf("write archive %s: %w", w.name, err)
	}
	return nil
}

// Close writes out what is buffered and closes the file. Closing again does
// nothing.
func (w *Writer) Close() error {
	faults := []error{w.buffer.Flush()}
	for _, c := range w.closers {
		faults = append(faults, c.Close())
	}
	w.closers = nil
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("close archive %s: %w", w.name, err)
	}
	return nil
}
