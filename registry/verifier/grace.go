package verifier

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/northstar-engines/realtime-registry/registry"
)

// The reads of a grace: the first soon after the refusal, since most events are
// a few milliseconds late, the later ones four times a second.
const (
	firstPause = 25 * time.Millisecond
	mostPause  = 250 * time.Millisecond
)

// decide reads until the tenant is seen to own the resource, or the grace ends.
// A caller whose own deadline ends the grace sooner gets the refusal that was
// read; a store that fails within the grace is an error, since the tenant did
// not get the grace.
func (v *Verifier) decide(ctx context.Context, tenantID string, resource registry.Resource, check *check) (sighting, error) {
	seen, err := v.reader.read(ctx, resource)
	if err != nil || v.missGrace == 0 || seen.unfoldable() != nil || seen.ownedBy(tenantID) {
		return seen, err
	}
	ends := time.Now().Add(v.missGrace)
	pauses := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstPause),
		backoff.WithMultiplier(2),
		backoff.WithMaxInterval(mostPause),
		backoff.WithMaxElapsedTime(0), // the grace bounds it, with a last read at its very end
	)
	refusal := seen
	first := seen
	check.firstMiss = &first
	for seen.unfoldable() == nil && !seen.ownedBy(tenantID) {
		left := time.Until(ends)
		if left <= 0 || !pause(ctx, min(left, pauses.NextBackOff())) {
			return refusal, nil
		}
		if seen, err = v.reader.read(ctx, resource); err != nil {
			if ctx.Err() != nil {
				return refusal, nil
			}
			return seen, err
		}
		refusal = seen
	}
	return seen, nil
}

// pause returns false where ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
