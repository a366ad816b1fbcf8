// Command emulators runs a command beside a pair of the official emulators:
//
//	emulators -- go test ./...
//	emulators --optional -- go test ./...  # without them, if they are not installed
//	emulators                              # until Ctrl-C
//	emulators --check                      # are they installed?
//
// The command finds them through FIRESTORE_EMULATOR_HOST and
// PUBSUB_EMULATOR_HOST, and its exit code is passed on. If these are set
// already, the emulators that they name are used, and nothing is started.
//
// Exit codes of its own: 1 an emulator did not come up, 2 usage, 3 not
// installed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/northstar-engines/realtime-registry/emulator"
)

const (
	exitFault        = 1
	exitUsage        = 2
	exitNotInstalled = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("emulators", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { _, _ = fmt.Fprintln(stderr, "usage: emulators [--check] [--optional] [-- COMMAND [ARG]...]") }
	check := flags.Bool("check", false, "say whether the emulators are installed, and start nothing")
	optional := flags.Bool("optional", false, "run the command without emulators if they are not installed")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	if *optional && flags.NArg() == 0 {
		flags.Usage()
		return exitUsage
	}
	emulators, err := start(ctx, *check)
	switch {
	case errors.Is(err, emulator.ErrNotInstalled) && *optional:
		_, _ = fmt.Fprintf(stderr, "%v\nrunning without them: %s\n\n", err, strings.Join(flags.Args(), " "))
		emulators = &emulator.Emulators{}
	case errors.Is(err, emulator.ErrNotInstalled):
		_, _ = fmt.Fprintln(stderr, err)
		return exitNotInstalled
	case err != nil:
		_, _ = fmt.Fprintln(stderr, err)
		return exitFault
	case *check:
		return 0
	}
	code := exitFault
	if flags.NArg() > 0 {
		code = runCommand(ctx, flags.Args(), emulators.Environ(), stdout, stderr)
	} else {
		code = wait(ctx, emulators, stdout, stderr)
	}
	if err := emulators.Stop(); err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return max(code, exitFault)
	}
	return code
}

// start starts those emulators that the environment does not name.
func start(ctx context.Context, check bool) (*emulator.Emulators, error) {
	o := emulator.Options{
		NoFirestore: os.Getenv("FIRESTORE_EMULATOR_HOST") != "",
		NoPubSub:    os.Getenv("PUBSUB_EMULATOR_HOST") != "",
	}
	if o.NoFirestore && o.NoPubSub {
		return &emulator.Emulators{}, nil
	}
	if check {
		_, err := emulator.Find()
		return nil, err
	}
	return emulator.Start(ctx, o)
}

// runCommand runs a command to its end. A signal to this process goes to the
// command, which decides how to end.
func runCommand(ctx context.Context, args, env []string, stdout, stderr io.Writer) int {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stdout, stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		_, _ = fmt.Fprintf(stderr, "run %s: %v\n", args[0], err)
		return exitFault
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()) // as a shell does
	}
	return cmd.ProcessState.ExitCode()
}

// wait prints how to reach the emulators, and keeps them running until a signal
// arrives.
func wait(ctx context.Context, e *emulator.Emulators, stdout, stderr io.Writer) int {
	for _, variable := range e.Environ() {
		_, _ = fmt.Fprintln(stdout, "export "+variable)
	}
	ended := make(chan *emulator.Emulator)
	for _, one := range []*emulator.Emulator{e.Firestore, e.PubSub} {
		if one != nil {
			go func() { <-one.Done(); ended <- one }()
		}
	}
	select {
	case <-ctx.Done():
		return 0
	case one := <-ended:
		_, _ = fmt.Fprintf(stderr, "the %s emulator ended; it printed:\n%s\n", one.Name, one.Output())
		return exitFault
	}
}
