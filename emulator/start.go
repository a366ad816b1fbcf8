package emulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

const (
	loopback = "127.0.0.1"
	// attempts bounds how often another port is tried, if another process took the
	// free one.
	attempts = 3
)

func start(ctx context.Context, s spec) (*Emulator, error) {
	for attempt := 1; ; attempt++ {
		e, err := startOnce(ctx, s)
		if err == nil || attempt == attempts || !errors.Is(err, errPortTaken) {
			return e, err
		}
	}
}

var errPortTaken = errors.New("the port was taken meanwhile")

func startOnce(ctx context.Context, s spec) (*Emulator, error) {
	port, err := reservePort()
	if err != nil {
		return nil, fmt.Errorf("find a port for the %s emulator: %w", s.name, err)
	}
	defer port.release()
	e := &Emulator{spec: s, Name: s.name, Host: net.JoinHostPort(loopback, port.number)}
	if e.process, err = launch(s.command(port.number), s.env); err != nil {
		return nil, fmt.Errorf("start the %s emulator: %w", s.name, err)
	}
	if err := e.awaitReady(ctx, s); err != nil {
		return nil, errors.Join(err, e.Stop())
	}
	return e, nil
}

// awaitReady returns when the emulator answers a call, or no longer can, or ctx has
// ended.
func (e *Emulator) awaitReady(ctx context.Context, s spec) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { cancel(e.awaitFailure(ctx)) }()
	err := s.ready(ctx, e.Host)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("the %s emulator on %s does not answer: %w; it printed:\n%s", e.Name, e.Host, err, e.Output())
}

var errEnded = errors.New("it ended")

// awaitFailure returns why the emulator will not answer; nil when ctx has ended.
func (e *Emulator) awaitFailure(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(50 * time.Millisecond):
			if e.portTaken() { // which does not end Pub/Sub's
				return errPortTaken
			}
		case <-e.Done():
			_ = e.Stop() // so that all of its output is here
			if e.portTaken() {
				return errPortTaken
			}
			return errEnded
		}
	}
}

// portTaken reports whether another process has the port: both emulators then print
// Java's BindException.
func (e *Emulator) portTaken() bool { return strings.Contains(e.Output(), "already in use") }
