// Package interruptible reads from and writes to files that may block for ever: a
// terminal, a pipe, a FIFO whose other end is not open. The wait ends with a
// context, which a signal ends: package os has no other way to interrupt such a
// read, write or open.
package interruptible

import (
	"context"
	"fmt"
	"io"
	"os"
)

// Reader returns a reader of r whose Read ends with the error of ctx once ctx has
// ended, even while r blocks. The blocked read of r then goes on in a goroutine of
// its own, and its result is lost: do not use r again. One goroutine at a time may
// call Read.
func Reader(ctx context.Context, r io.Reader) io.Reader {
	return &reader{ctx: ctx, r: r, done: make(chan result, 1)}
}

type reader struct {
	ctx  context.Context
	r    io.Reader
	buf  []byte
	done chan result
}

type result struct {
	n   int
	err error
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if len(r.buf) < len(p) {
		r.buf = make([]byte, len(p)) // p belongs to the caller when Read has returned
	}
	buf := r.buf[:len(p)]
	go func() {
		n, err := r.r.Read(buf)
		r.done <- result{n, err}
	}()
	select {
	case got := <-r.done:
		return copy(p, buf[:got.n]), got.err
	case <-r.ctx.Done():
		return 0, r.ctx.Err()
	}
}

// Open is os.Open, and Read and Open both end with ctx if the file is not a
// regular one.
func Open(ctx context.Context, name string) (io.ReadCloser, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() {
		return os.Open(name)
	}
	f, err := open(ctx, name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{Reader(ctx, f), f}, nil
}

// OpenToWrite opens a pipe or a device to write to it, as Writer does. Of a FIFO it
// waits for a reader, until ctx ends.
func OpenToWrite(ctx context.Context, name string) (io.WriteCloser, error) {
	f, err := open(ctx, name, os.O_WRONLY)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Writer
		io.Closer
	}{Writer(ctx, f), f}, nil
}

func open(ctx context.Context, name string, flag int) (*os.File, error) {
	type opened struct {
		file *os.File
		err  error
	}
	done := make(chan opened, 1)
	go func() {
		f, err := os.OpenFile(name, flag, 0)
		done <- opened{f, err}
	}()
	select {
	case o := <-done:
		return o.file, o.err
	case <-ctx.Done():
		return nil, fmt.Errorf("open %s: %w", name, ctx.Err())
	}
}
