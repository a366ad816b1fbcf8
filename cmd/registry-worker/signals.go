package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// oneSignal is how long signals count as one: a terminal and a supervisor may send
// two within a moment, and that is not impatience.
const oneSignal = time.Second

// caught is the cause of a context that was ended by a signal.
type caught struct{ os.Signal }

func (c caught) Error() string { return "signal: " + c.String() }

// untilSignal returns a context that ends with the first SIGINT or SIGTERM, and has
// it as its cause (caught). A SIGINT more than oneSignal later ends the process at
// once, with 1: a person at a terminal no longer wants to wait for the drain, and
// that costs nothing except time. Another SIGTERM changes nothing: supervisors and
// timeout(1) repeat it, and have SIGKILL for impatience.
//
// SIGPIPE ends nothing: an output whose reader has gone is an error like any
// other (outputs.go). Asking for the signal does that, and unlike ignoring it is
// not inherited by the programs that are started.
func untilSignal(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		s := impatient(signals, func(first os.Signal) { cancel(caught{first}) })
		time.AfterFunc(time.Second, func() { os.Exit(exitFault) }) // even if no one reads the message
		fmt.Fprintf(os.Stderr, "%s: second signal (%s): not waiting any longer\n", programName, s)
		os.Exit(exitFault)
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// impatient calls first with the first signal, and returns the first one that says
// not to wait.
func impatient(signals <-chan os.Signal, first func(os.Signal)) os.Signal {
	s := <-signals
	at := time.Now()
	first(s)
	for s := range signals {
		if s == os.Interrupt && time.Since(at) > oneSignal {
			return s
		}
	}
	select {} // the channel is never closed
}
