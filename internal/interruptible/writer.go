package interruptible

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// Grace is how long a Writer waits at least for its reader after the context has
// ended: if there is a reader, it wants the output.
const Grace = 2 * time.Second

// ErrNotTaken is the error of a Write that was given up, and of all that follow.
var ErrNotTaken = errors.New("no reader takes the output")

// Writer returns a writer to w whose Write ends with ErrNotTaken once ctx has ended,
// and w has not taken it, both for Grace. The write of w that is under way then goes on
// in a goroutine of its own. It is safe for concurrent use: writes follow one
// another.
func Writer(ctx context.Context, w io.Writer) io.Writer {
	over := make(chan struct{})
	context.AfterFunc(ctx, func() { time.AfterFunc(Grace, func() { close(over) }) })
	return &writer{w: w, over: over}
}

type writer struct {
	w    io.Writer
	over <-chan struct{} // closed at the end of Grace

	mu      sync.Mutex
	givenUp bool
}

func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.givenUp {
		return 0, ErrNotTaken
	}
	text := bytes.Clone(p) // p belongs to the caller when Write has returned
	done := make(chan result, 1)
	go func() {
		n, err := w.w.Write(text)
		done <- result{n, err}
	}()
	began := time.Now()
	select {
	case r := <-done:
		return r.n, r.err
	case <-w.over:
	}
	select {
	case r := <-done:
		return r.n, r.err
	case <-time.After(Grace - time.Since(began)):
		w.givenUp = true
		return 0, ErrNotTaken
	}
}
