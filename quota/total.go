package quota

import (
	"context"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

func totalOf(key limits.Key) limits.Key { return limits.Key{Tenant: key.Tenant, Action: TotalAction} }

// decideBoth takes n units of the tenant's total, then of the action's own window,
// or of none. The total comes first: a tenant that has used it up, and invents
// actions, makes no documents. What the other refuses goes back into the block that
// it came from.
func (l *Limiter) decideBoth(ctx context.Context, key limits.Key, n int32, policy, total limits.Policy) (Decision, error) {
	all, o, err := l.ask(ctx, totalOf(key), n, total)
	all.Total = true
	if err != nil || !all.Allowed {
		l.tally(totalOf(key), o)
		return all, err
	}
	own, ownOutcome, err := l.ask(ctx, key, n, policy)
	if err != nil || !own.Allowed {
		l.refund(totalOf(key), all.Window, n)
		l.tally(key, ownOutcome)
		return own, err
	}
	l.tally(key, max(o, ownOutcome))
	return own.with(all), nil
}

// with returns the decision of a request that two windows have admitted.
func (d Decision) with(total Decision) Decision {
	shadow, open := d.Shadow || total.Shadow, d.FailedOpen || total.FailedOpen
	if !total.FailedOpen && (d.FailedOpen || total.Remaining < d.Remaining) {
		d = total
	}
	d.Shadow, d.FailedOpen = shadow, open
	return d
}

// refund returns units that a request does not use to the block from which it took
// them. If the window is no longer this process's, they cannot be spent any more.
func (l *Limiter) refund(key limits.Key, window WindowID, n int32) {
	if window == (WindowID{}) {
		return
	}
	s, hash := l.table.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.findLocked(hash, key); e != nil {
		n = e.refund(window, n)
	}
	l.telemetry.stranded(l.policies.label(key.Action), n)
}
