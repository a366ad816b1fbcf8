// Package interruptible reads from what may keep its reader waiting for ever: a
// terminal, a pipe, a FIFO that nobody has opened at its other end. The wait ends
// with a context, which a signal ends: package os has no other way to break off
// such a read or open.
package interruptible

import (
	"context"
	"fmt"
	"io"
	"os"
)

// Reader returns a reader of r whose Read ends with the error of ctx once ctx has
// ended, also while r keeps it waiting. The read of r that is under way then goes
// on in a goroutine of its own, and what it brings is lost: r is not to be used
// again. One goroutine at a time may call Read.
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
	type opened struct {
		file *os.File
		err  error
	}
	done := make(chan opened, 1)
	go func() {
		f, err := os.Open(name)
		done <- opened{f, err}
	}()
	select {
	case o := <-done:
		if o.err != nil {
			return nil, o.err
		}
		return struct {
			io.Reader
			io.Closer
		}{Reader(ctx, o.file), o.file}, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("open %s: %w", name, ctx.Err())
	}
}
