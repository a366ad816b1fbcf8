package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// untilSignal returns a context that ends with the first SIGINT or SIGTERM. The
// second one ends the process at once, with 1: whoever sends it no longer wants
// to wait for the drain, and nothing is lost by it but time.
func untilSignal(parent context.Context, stderr io.Writer) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		s := <-signals
		fmt.Fprintf(stderr, "%s: second signal (%s): not waiting any longer\n", programName, s)
		os.Exit(exitFault)
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}
