package verifier

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/northstar-engines/realtime-registry/registry"
)

// The pauses between the reads of a grace. The first is short, since most events
// are a few milliseconds late; the later ones make four reads a second.
const (
	firstPause = 25 * time.Millisecond
	mostPause  = 250 * time.Millisecond
)

// decide reads until the tenant is seen to own the resource, or the grace ends. If
// the caller's own deadline ends the grace sooner, the caller gets the refusal that
// was read. If the store fails within the grace, that is an error, since the tenant
// did not get the grace.
func (v *Verifier) decide(ctx context.Context, tenantID string, resource registry.Resource, check *check) (sighting, error) {
	seen, err := v.reader.read(ctx, resource)
	if err != nil || v.missGrace == 0 || seen.unfoldable() != nil || seen.ownedBy(tenantID) {
		return seen, err
	}
	ends := time.Now().Add(v.missGrace)
	pauses := gracePauses()
	refusal := seen
	first := seen
	check.firstRefusal = &first
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

// bridge is decide for a list: it reads what is refused again until all is owned,
// or the grace ends.
func (v *Verifier) bridge(ctx context.Context, asked []Ownership, seen []sighting, checks []*check, grace time.Duration) error {
	ends := time.Now().Add(grace)
	pauses := gracePauses()
	for {
		var refused []int
		var list []Ownership
		for j, o := range asked {
			if seen[j].unfoldable() != nil || seen[j].ownedBy(o.TenantID) {
				continue
			}
			if checks[j].firstRefusal == nil {
				first := seen[j]
				checks[j].firstRefusal = &first
			}
			refused, list = append(refused, j), append(list, o)
		}
		left := time.Until(ends)
		if len(refused) == 0 || left <= 0 || !pause(ctx, min(left, pauses.NextBackOff())) {
			return nil
		}
		again, err := v.reader.readAll(ctx, resourcesOf(list))
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		for n, j := range refused {
			seen[j] = again[n]
		}
	}
}

func gracePauses() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstPause),
		backoff.WithMultiplier(2),
		backoff.WithMaxInterval(mostPause),
		backoff.WithMaxElapsedTime(0), // the grace is the bound, with a last read at its very end
	)
}

// pause waits for d, and returns false if ctx ended first.
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
