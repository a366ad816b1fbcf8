package quota

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/internal/listening"
)

// Decision is the answer to a request. If a policy bounds all actions of the tenant
// together, it describes the window that refused, or the one with less left, and
// Total says which.
type Decision struct {
	Allowed bool
	// Limit of the window in force, in units.
	Limit int64
	// Length of the window in force.
	Length time.Duration
	// Remaining is what the window has left, as far as this process knows: its own
	// block, and what was not reserved when the store last answered.
	Remaining int64
	// ResetAfter is when the window ends, by the store's clock, from now.
	ResetAfter time.Duration
	// RetryAfter is when to try again; zero if Allowed.
	RetryAfter time.Duration
	// Window is the window that the units were taken from. Zero if they were taken
	// from none: Shadow or FailedOpen.
	Window WindowID
	// Contended: refused early. The window may have units left, but more processes
	// use it than can write its document; RetryAfter is at most MostRetryAfter.
	Contended bool
	// Total: the window is that of TotalAction, and not the action's own.
	Total bool
	// Shadow: the policy is a shadow. The request would have been refused.
	Shadow bool
	// FailedOpen: the store was down, and the policy is a shadow or
	// Options.OnError is Allow.
	FailedOpen bool
}

// Limiter decides whether a tenant may act now. It is safe for concurrent use.
type Limiter struct {
	store     Store
	options   Options
	table     *table
	clock     func() instant
	policies  livePolicies
	telemetry *telemetry
	listening *listening.State
	budget    budget // of tries while the store fails
	census    census // of tenants' actions

	closed     atomic.Bool    // Close was called
	background sync.WaitGroup // watch, poll, sweep
	stop       context.CancelFunc
	underWay   sync.WaitGroup // flights
	releasing  atomic.Int64   // flights that were begun to release a block
}

var errClosed = errors.New("the limiter is closed")

// New returns a limiter over the store. The caller closes it, then the store.
// The error lists every fault of the options and of the policy file.
func New(store Store, options Options) (*Limiter, error) {
	began := time.Now()
	l, err := newLimiter(store, options, func() instant { return instant(time.Since(began)) })
	if err != nil {
		return nil, err
	}
	l.start()
	return l, nil
}

// newLimiter returns a limiter that does nothing by itself.
func newLimiter(store Store, options Options, clock func() instant) (*Limiter, error) {
	faults := []error{options.Validate()}
	l := &Limiter{store: store, options: options.withDefaults(), table: newTable(), census: newCensus(), clock: clock, stop: func() {}}
	l.budget.logger = l.options.Logger
	l.policies.init(limits.Policies{List: limitsOf(options.Policies), ActionsClosed: options.ActionsClosed})
	if file := options.PolicyFile; file != "" {
		policies, text, err := limits.ReadPoliciesText(file)
		faults = append(faults, err)
		l.policies.fileText = text
		l.policies.replace(fileLayer, policies)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("throttle: %w", err)
	}
	l.listening = listening.New(l.options.Logger,
		"throttle does not hear of resets and policies; it goes on with what it knows",
		"throttle hears of resets and policies again")
	var err error
	if l.telemetry, err = newTelemetry(l); err != nil {
		return nil, fmt.Errorf("throttle: %w", err)
	}
	return l, nil
}

// Policies returns the policies in force.
func (l *Limiter) Policies() limits.PolicySet { return l.policies.current() }

// Allow is AllowN for one unit.
func (l *Limiter) Allow(ctx context.Context, tenantID, action string) (Decision, error) {
	return l.AllowN(ctx, tenantID, action, 1)
}

// AllowN takes n units of the tenant's window for the action, all or none of
// them. Most calls are answered from memory; the others wait for the store
// until ctx ends, and no longer than the store is tried. Errors: ErrInvalid,
// ErrUnavailable; a refusal is none. n is 1 to the policy's limit; to MaxLimit
// if the policy is a shadow, which refuses nothing.
func (l *Limiter) AllowN(ctx context.Context, tenantID, action string, n int) (d Decision, err error) {
	key := limits.Key{Tenant: tenantID, Action: action}
	if l.fromMemory(key, n, &d) {
		return d, nil
	}
	return l.decide(ctx, key, n)
}

// fromMemory takes n units of the blocks that this process holds, and reports whether
// they had them. Most requests need nothing else.
func (l *Limiter) fromMemory(key limits.Key, n int, d *Decision) bool {
	if n < 1 || n > MaxLimit || key.Action == TotalAction {
		return false
	}
	policies, now := l.policies.set.Load(), l.clock()
	s, hash := l.table.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.findLocked(hash, key)
	if own == nil || !own.has(now, int32(n)) {
		return false
	}
	var all *entry
	if _, bounded := policies.Total(key.Tenant); bounded {
		total := totalOf(key)
		_, hash := l.table.shard(total)
		if all = s.findLocked(hash, total); all == nil || !all.has(now, int32(n)) {
			return false
		}
	}
	s.countLocked(policies.labels[key.Action], allowed, 1)
	own.left -= int32(n)
	own.describe(d, now, granted)
	if all != nil {
		all.left -= int32(n)
		total := all.decision(now, granted)
		total.Total = true
		*d = d.with(total)
	}
	return true
}

// decide is AllowN if the blocks do not have the units.
func (l *Limiter) decide(ctx context.Context, key limits.Key, n int) (Decision, error) {
	set := l.policies.current()
	if err := set.Validate(key, n); err != nil {
		l.tally(key, invalid)
		return Decision{}, err
	}
	if total, ok := set.Total(key.Tenant); ok {
		return l.decideBoth(ctx, key, int32(n), set.Of(key), total)
	}
	d, o, err := l.ask(ctx, key, int32(n), set.Of(key))
	l.tally(key, o)
	return d, err
}

// ask asks one window, and applies the policy and OnError to its answer.
func (l *Limiter) ask(ctx context.Context, key limits.Key, n int32, policy limits.Policy) (Decision, outcome, error) {
	d, err := l.request(ctx, key, n)
	switch {
	case err == nil && d.Allowed:
		return d, allowed, nil
	case err == nil && policy.Shadow:
		d.Allowed, d.Shadow, d.Contended, d.RetryAfter, d.Window = true, true, false, 0, WindowID{}
		return d, shadowed, nil
	case err == nil && d.Contended:
		return d, refusedEarly, nil
	case err == nil:
		return d, refused, nil
	case policy.Shadow || l.options.OnError == Allow:
		return Decision{Allowed: true, Limit: policy.Limit, Length: policy.Window, FailedOpen: true}, failedOpen, nil
	case errors.Is(ctx.Err(), context.Canceled):
		return d, abandoned, err
	}
	return d, unavailable, err
}

// request decides at once if this process knows enough, else together with all
// requests that wait for the same call of the store.
func (l *Limiter) request(ctx context.Context, key limits.Key, n int32) (Decision, error) {
	s, hash := l.table.shard(key)
	s.mu.Lock()
	e := l.table.entryLocked(s, hash, key)
	now, f := l.clock(), s.flights[e]
	v := e.spend(now, n)
	remembered := e.decision(now, v)
	if v == granted || v == full || v == contended || v == stale && f != nil {
		s.mu.Unlock()
		return remembered, nil
	}
	if f == nil {
		if s.closed {
			s.mu.Unlock()
			return Decision{}, fmt.Errorf("reserve %s: %w: %w", key, ErrUnavailable, errClosed)
		}
		f = l.boardLocked(s, e, &flight{})
		go l.fly(s, e, f)
	}
	w := &waiter{n: n, answered: make(chan struct{})}
	f.waiters = append(f.waiters, w)
	s.mu.Unlock()

	d, err := l.wait(ctx, s, e, w)
	if err != nil && v == stale {
		return remembered, nil
	}
	return d, err
}

// tally counts a decision that was not made from memory alone.
func (l *Limiter) tally(key limits.Key, o outcome) {
	s, _ := l.table.shard(key)
	s.mu.Lock()
	s.countLocked(l.policies.label(key.Action), o, 1)
	s.mu.Unlock()
}
