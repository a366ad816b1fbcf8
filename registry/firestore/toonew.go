package firestore

import (
	"context"
	"errors"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"golang.org/x/time/rate"

	"github.com/northstar-engines/realtime-registry/registry"
)

// How many lines about what is not understood are written: a burst, then one
// every ten seconds.
const (
	tooNewBurst = 10
	tooNewRate  = rate.Limit(0.1)
)

// tooNewLog tells of what is not understood, now and then.
type tooNewLog struct {
	limiter    *rate.Limiter
	suppressed atomic.Int64
}

// tooNew counts and tells that a process met what it does not understand, and
// returns the error. What is one of: document, ledger, feed.
func (s *Store) tooNew(ctx context.Context, what string, err error) error {
	if !errors.Is(err, registry.ErrTooNew) {
		return err
	}
	s.telemetry.tooNew.Add(ctx, 1, metric.WithAttributes(attribute.String("what", what)))
	if !s.unread.limiter.Allow() {
		s.unread.suppressed.Add(1)
		return err
	}
	s.logger.ErrorContext(ctx, "what is stored is not understood, and left alone",
		"what", what, "error", err, "suppressed", s.unread.suppressed.Swap(0))
	return err
}
