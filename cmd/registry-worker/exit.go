package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v3"

	"github.com/northstar-engines/realtime-registry/cmd/registry-worker/internal/config"
)

// The exit codes (design §8).
const (
	exitDone  = 0 // done, or drained
	exitFault = 1
	exitUsage = 2 // usage or configuration
)

// usageError is a fault of the command line or of the environment.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errReported ends a command with a fault that it has reported already.
var errReported = errors.New("reported")

// exitCode maps a command's error to the process's exit code, and reports it, in
// the form of the log. It is the only place that does either.
func (p process) exitCode(err error) int {
	if err == nil {
		return exitDone
	}
	if errors.Is(err, errReported) {
		return exitFault
	}
	code := codeOf(err)
	p.fatal(fmt.Sprintf("%s: %v", programName, err), code)
	return code
}

func codeOf(err error) int {
	var usage usageError
	var faults config.Faults
	var library cli.ExitCoder // of the library: help for a command that does not exist
	if errors.As(err, &usage) || errors.As(err, &faults) || errors.As(err, &library) {
		return exitUsage
	}
	return exitFault
}
