package quota

import "context"

// role is what a purse's window is of.
type role uint8

const (
	ofOneAction role = iota // and nothing else bounds the tenant
	belowTotal              // of one action, of a tenant whose actions a total bounds
	ofTotal                 // of all actions of a tenant together
)

// roleOf is the role of a key's window as the policies are now. A purse keeps
// its own until the block changes: a changed policy holds from the next window on
// at the latest.
func (s PolicySet) roleOf(key Key) role {
	if key.Action == TotalAction {
		return ofTotal
	}
	if _, ok := s.Total(key.Tenant); ok {
		return belowTotal
	}
	return ofOneAction
}

func totalOf(key Key) Key { return Key{key.Tenant, TotalAction} }

// decideBoth takes n units of the tenant's total, then of the action's own window,
// or of none. The total comes first: a tenant that has used it up, and invents
// actions, makes no documents. What the other refuses goes back into the block
// that it came from.
func (l *Limiter) decideBoth(ctx context.Context, key Key, n int32, policy, total Policy) (Decision, error) {
	all, o, err := l.ask(ctx, totalOf(key), n, total)
	all.Total = true
	if err != nil || !all.Allowed {
		l.tally(totalOf(key), o)
		return all, err
	}
	own, ownOutcome, err := l.ask(ctx, key, n, policy)
	if err != nil || !own.Allowed {
		l.putBack(totalOf(key), all.Window, n)
		l.tally(key, ownOutcome)
		return own, err
	}
	l.tally(key, max(o, ownOutcome))
	return own.with(all), nil
}

// with returns the decision of a request that two windows have let through.
func (d Decision) with(total Decision) Decision {
	shadow, open := d.Shadow || total.Shadow, d.FailedOpen || total.FailedOpen
	if !total.FailedOpen && (d.FailedOpen || total.Remaining < d.Remaining) {
		d = total
	}
	d.Shadow, d.FailedOpen = shadow, open
	return d
}

// putBack puts units back that a request has taken of a window and does not use.
// If the window is not this process's any more, nobody can spend them.
func (l *Limiter) putBack(key Key, window WindowID, n int32) {
	if window == (WindowID{}) {
		return
	}
	hash := l.table.hash(key.Tenant, key.Action)
	s := l.table.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	l.putBackInto(s, s.find(hash, key.Tenant, key.Action), key, window, n)
}

func (l *Limiter) putBackInto(s *shard, e *entry, key Key, window WindowID, n int32) {
	if e == nil {
		l.telemetry.stranded(l.policies.label(key.Action), n)
		return
	}
	l.change(s, e, func(b *block) { l.telemetry.stranded(l.policies.label(key.Action), b.putBack(window, n)) })
}

// alsoOfTotal takes n units of the tenant's total as well, for a request that
// has taken them of the purse p, where `left` remain. Without a lock, or not at
// all: then what was taken of p is put back.
func (l *Limiter) alsoOfTotal(now instant, e *entry, p *purse, left, n int32) (Decision, bool) {
	key := e.key()
	if p.role == belowTotal {
		if d, ok := l.ofTotal(now, key.Tenant, n); ok {
			return p.granted(now, left).with(d), true
		}
	}
	if !p.put(n, 1) {
		s := l.table.shard(l.table.hash(key.Tenant, key.Action))
		s.mu.Lock()
		defer s.mu.Unlock()
		s.count(p.label, allowed, -1) // it was counted when the purse was taken away
		l.putBackInto(s, e, key, p.window(), n)
	}
	return Decision{}, false
}

func (l *Limiter) ofTotal(now instant, tenant string, n int32) (Decision, bool) {
	hash := l.table.hash(tenant, TotalAction)
	e := l.table.shard(hash).find(hash, tenant, TotalAction)
	if e == nil {
		return Decision{}, false
	}
	p := e.purse.Load()
	if p == nil {
		return Decision{}, false
	}
	left, ok := p.take(now, n, 0)
	if !ok {
		return Decision{}, false
	}
	d := p.granted(now, left)
	d.Total = true
	return d, true
}
