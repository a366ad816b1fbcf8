package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/northstar-engines/realtime-registry/internal/interruptible"
	"github.com/northstar-engines/realtime-registry/internal/telemetry"
	"github.com/northstar-engines/realtime-registry/internal/terminal"
)

// canAsk refuses a command that asks before it writes if no one can answer:
// standard input is not a terminal, and --yes was not given. (Text from a pipe was
// written before the question.) It is called before anything takes time.
func (in *invocation) canAsk() error {
	if in.Config.Yes || telemetry.IsTerminal(in.Stdin) {
		return nil
	}
	return usagef("it asks before it writes, and standard input is no terminal: give --yes, if a script knows the answer")
}

// confirm asks, unless --yes was given. Any answer except yes is an error, and so
// is the end of ctx while it waits, at the first Ctrl-C.
func (in *invocation) confirm(ctx context.Context, t target, question string) error {
	if in.Config.Yes {
		return nil
	}
	if err := in.canAsk(); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(in.Stderr, "%s: %s\nType yes to go on (or give --yes): ", t, question); err != nil {
		return fmt.Errorf("nothing was changed; the question could not be asked: %w", err)
	}
	answer, err := bufio.NewReader(interruptible.Reader(ctx, in.Stdin)).ReadString('\n')
	if ctx.Err() != nil {
		fmt.Fprintln(in.Stderr)
		return errors.New("interrupted; nothing was changed")
	}
	if err != nil {
		fmt.Fprintln(in.Stderr) // no line end came with an answer
	}
	switch answer = strings.TrimSpace(answer); {
	case strings.EqualFold(answer, "yes") && err == nil:
		return nil
	case answer == "":
		return errors.New("not confirmed; nothing was changed")
	}
	return fmt.Errorf("not confirmed, since the answer was %s and not yes; nothing was changed", terminal.Quote(answer))
}
