package main

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// loadingTold is how often the progress of reading the ledger is logged.
const loadingTold = 3 * time.Second

// loading watches a registry that is being opened. It ends the opening if nothing
// has arrived for startTimeout, and logs how many entries of the ledger have.
type loading struct {
	in    *invocation
	end   func()
	timer *time.Timer

	mu      sync.Mutex
	entries int
	told    time.Time
}

// loading returns a context that ends once nothing has arrived for startTimeout.
func (in *invocation) loading(ctx context.Context) (context.Context, *loading) {
	ctx, cancel := context.WithCancelCause(ctx)
	l := &loading{in: in, told: time.Now()}
	l.timer = time.AfterFunc(startTimeout, func() { cancel(context.DeadlineExceeded) })
	l.end = func() { l.timer.Stop(); cancel(context.Canceled) }
	return ctx, l
}

// ended returns why a registry was not opened: that nothing arrived, if that was
// the reason.
func (l *loading) ended(ctx context.Context, err error) error {
	if context.Cause(ctx) != context.DeadlineExceeded {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return status.Errorf(codes.DeadlineExceeded, "nothing has arrived for %v, after %d entries of the ledger", startTimeout, l.entries)
}

// at is called with the number of ledger entries read so far.
func (l *loading) at(entries int) {
	l.timer.Reset(startTimeout)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = entries
	if time.Since(l.told) >= loadingTold {
		l.told = time.Now()
		l.in.Logger.Info("reading the ledger of moves of whole tenants", "entries", entries)
	}
}
