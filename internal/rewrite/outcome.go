package rewrite

import (
	"context"
	"errors"
	"runtime/debug"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
)

// How a job was left.
const (
	done        = "done"
	leaseLost   = "lease_lost" // another worker has it
	tooNew      = "too_new"
	panicked    = "panic"
	interrupted = "interrupted"
	failed      = "error"
	parked      = "parked" // after it failed once more
)

func outcome(ctx context.Context, err error) string {
	switch {
	case err == nil:
		return done
	case errors.Is(err, ownership.ErrLeaseLost):
		return leaseLost
	case ctx.Err() != nil:
		return interrupted
	case errors.Is(err, registry.ErrTooNew):
		return tooNew
	case beyondUs(err):
		return panicked
	}
	return failed
}

// beyondUs reports whether another release is needed to do better: what is stored
// is not understood, or this one has a defect.
func beyondUs(err error) bool {
	var panicked *ownership.PanicError
	return errors.Is(err, registry.ErrTooNew) || errors.As(err, &panicked)
}

// recovered, deferred, makes an error of a panic.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = &ownership.PanicError{Value: p, Stack: debug.Stack()}
	}
}

// stack is that of a panic; "" if the error is none.
func stack(err error) string {
	var panicked *ownership.PanicError
	if !errors.As(err, &panicked) {
		return ""
	}
	return string(panicked.Stack)
}
