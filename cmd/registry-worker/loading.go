package main

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// loadingTold is how often it is told how far the reading of the ledger is.
const loadingTold = 3 * time.Second

// loading watches a registry that is being opened: it ends what takes longer than
// startTimeout, unless entries of the ledger arrive, and tells how many have.
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

// ended is why a registry was not opened: that nothing has arrived, if that is why.
func (l *loading) ended(ctx context.Context, err error) error {
	if context.Cause(ctx) != context.DeadlineExceeded {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return status.Errorf(codes.DeadlineExceeded, "nothing has arrived for %v, after %d entries of the ledger", startTimeout, l.entries)
}

// at is told how many entries of the ledger have been read.
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
