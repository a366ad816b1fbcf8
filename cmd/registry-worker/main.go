// Command registry-worker consumes Nexus events from Pub/Sub into the realtime
// registry, answers access checks over HTTP, and is the registry's tool for
// operators.
//
// Exit codes: 0 done or drained, 1 a fault, 2 usage or configuration. What a
// command is asked for goes to standard output, all else to standard error. If
// either does not take it (a full disk, a pipe that its reader has closed), the
// command ends with 1, help too; but a service goes on without its log. SIGINT and
// SIGTERM end a command in good order, even while it waits for an answer or for its
// input. A SIGINT a second later or more ends it at once, with 1: messages that
// were not settled are delivered again.
//
// Life of an invocation: main.go → app.go (which command, its flags) →
// internal/config (flags and environment to a Config) → one file per command →
// exit.go (error to exit code).
package main

import (
	"context"
	"os"
)

func main() {
	ctx, stop := untilSignal(context.Background())
	stdout, stderr := newOutput(ctx, "standard output", os.Stdout), newOutput(ctx, "standard error", os.Stderr)
	p := process{
		Args:      os.Args[1:],
		LookupEnv: os.LookupEnv,
		Environ:   os.Environ,
		Stdin:     os.Stdin,
		Stdout:    stdout,
		Stderr:    stderr,
	}
	code := p.exitCode(p.run(ctx))
	stop()
	os.Exit(code)
}
