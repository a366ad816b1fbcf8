package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/northstar-engines/realtime-registry/internal/interruptible"
)

// output is standard output or standard error. It remembers the first error: a
// command must not report success if its output is lost, even if the code that
// printed it ignores errors (callers of fmt.Fprintln do, and so does the library
// that prints help).
type output struct {
	name  string
	file  *os.File
	until io.Writer // file, with an end to waiting for a reader (interruptible.Writer)

	mu    sync.Mutex
	wrote bool
	err   error
}

// newOutput returns an output. A write waits for its reader until ctx ends, and a
// moment longer.
func newOutput(ctx context.Context, name string, file *os.File) *output {
	o := &output{name: name, file: file, until: file}
	if info, err := file.Stat(); err == nil && !info.Mode().IsRegular() {
		o.until = interruptible.Writer(ctx, file)
	}
	return o
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.until.Write(p)
	o.note(err)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wrote = o.wrote || len(p) > 0
	return n, err
}

// nowhere reports whether something was written to an output that was probably
// closed before the start (`>&-`). Go's runtime then opens /dev/null in its place,
// for reading and writing, which a shell hardly does. Other programs may do so on
// purpose, so it is not a fault.
func (o *output) nowhere() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.wrote {
		return false
	}
	null, err := os.Stat(os.DevNull)
	if err != nil {
		return false
	}
	is, err := o.file.Stat()
	if err != nil || !os.SameFile(is, null) {
		return false
	}
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, o.file.Fd(), syscall.F_GETFL, 0)
	return errno == 0 && flags&syscall.O_ACCMODE == syscall.O_RDWR
}

// Fd lets a terminal be recognized as one.
func (o *output) Fd() uintptr { return o.file.Fd() }

// Close finds errors that show only when a file is closed.
func (o *output) Close() { o.note(o.file.Close()) }

func (o *output) note(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil && o.err == nil {
		o.err = err
	}
}

// lost returns why something that was written was lost, or nil. A reader that has
// closed a pipe (head) knows, so that is not reported.
func (o *output) lost() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var path *os.PathError
	switch {
	case errors.Is(o.err, syscall.EPIPE):
		return errReported
	case errors.As(o.err, &path):
		return fmt.Errorf("%s: %w", o.name, path.Err)
	case o.err != nil:
		return fmt.Errorf("%s: %w", o.name, o.err)
	}
	return nil
}

// lostOutput returns the command's error, or else that of an output that did not
// take everything. A service goes on without its log.
func lostOutput(err error, stdout, stderr io.Writer, service bool) error {
	if o, ok := stdout.(*output); ok {
		if lost := o.lost(); err == nil || lost == errReported && errors.Is(err, syscall.EPIPE) {
			err = lost
		}
	}
	if o, ok := stderr.(*output); ok && err == nil && !service {
		err = o.lost()
	}
	return err
}

// fileOf returns the file of an input or an output of the process; nil if it
// is none, as in tests.
func fileOf(stream any) *os.File {
	switch s := stream.(type) {
	case *os.File:
		return s
	case *output:
		return s.file
	}
	return nil
}
