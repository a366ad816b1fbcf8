package docdb

import (
	"context"
	"log/slog"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"golang.org/x/time/rate"
)

// Unread counts what is stored and not understood, and tells of it: ten lines at
// once, then one every ten seconds.
type Unread struct {
	counter    metric.Int64Counter
	logger     *slog.Logger
	message    string // of the lines
	limiter    *rate.Limiter
	suppressed atomic.Int64
}

// NewUnread makes one.
func NewUnread(counter metric.Int64Counter, logger *slog.Logger, message string) *Unread {
	return &Unread{counter: counter, logger: logger, message: message, limiter: rate.NewLimiter(0.1, 10)}
}

// Tell counts and tells that something was met that is not understood. What is a
// label of the counter, unless it is empty.
func (u *Unread) Tell(ctx context.Context, what string, err error) {
	var labels []metric.AddOption
	arguments := []any{"error", err}
	if what != "" {
		labels = append(labels, metric.WithAttributes(attribute.String("item", what)))
		arguments = append(arguments, "item", what)
	}
	u.counter.Add(ctx, 1, labels...)
	if !u.limiter.Allow() {
		u.suppressed.Add(1)
		return
	}
	u.logger.ErrorContext(ctx, u.message, append(arguments, "suppressed", u.suppressed.Swap(0))...)
}
