package emulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
)

const (
	loopback = "127.0.0.1"
	// attempts bounds how often another port is tried, where somebody else took
	// the one that was free.
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
	e := &Emulator{Name: s.name, Host: net.JoinHostPort(loopback, port.number)}
	if e.process, err = launch(s.command(port.number), s.env); err != nil {
		return nil, fmt.Errorf("start the %s emulator: %w", s.name, err)
	}
	if err := e.awaitReady(ctx, s); err != nil {
		return nil, errors.Join(err, e.Stop())
	}
	return e, nil
}

// awaitReady returns when the emulator answers a call, or has ended, or ctx has.
func (e *Emulator) awaitReady(ctx context.Context, s spec) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := errors.New("it ended")
	go func() {
		select {
		case <-e.Done():
			_ = e.Stop() // when all that it printed is here
			cancel(ended)
		case <-ctx.Done():
		}
	}()
	err := s.ready(ctx, e.Host)
	switch {
	case err == nil:
		return nil
	case context.Cause(ctx) == ended && strings.Contains(e.Output(), "already in use"):
		return fmt.Errorf("the %s emulator on %s: %w", e.Name, e.Host, errPortTaken)
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return fmt.Errorf("the %s emulator on %s does not answer: %w; it printed:\n%s", e.Name, e.Host, err, e.Output())
}
