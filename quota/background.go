package quota

import (
	"context"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// How state leaves memory. The store has everything that is dropped.
const (
	sweepEvery = time.Second
	sweepParts = 16 // a key is looked at every 16 s

	// idleAfter is how long a block may last before the rest of it is released. A
	// block is meant for a second.
	idleAfter = instant(10 * time.Second)
	// dropAfter is how long after the store's last answer a key without a block is
	// forgotten. If it comes back, it costs a read.
	dropAfter = instant(time.Minute)
	// lingerAfter is how long a key outlives its window: a busy tenant's next
	// request comes at once, and finds its demand remembered.
	lingerAfter = instant(5 * time.Second)

	// maxReleasing bounds the releases under way. If more keys than that become
	// idle at once, the others wait for the next sweep, or for the end of their
	// window, which costs nothing.
	maxReleasing = 64
)

// start starts the background work: two or three goroutines, whatever the number
// of tenants.
func (l *Limiter) start() {
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	l.background.Go(func() { l.sweepAll(ctx) })
	l.background.Go(func() { l.watch(ctx) })
	if file := l.options.PolicyFile; file != "" {
		l.background.Go(func() {
			limits.WatchPolicyFile(ctx, file, l.policies.fileText, func(p limits.Policies) {
				l.policies.replace(fileLayer, p)
				l.logPolicies(ctx, file, p)
			}, func(err error) { l.refusePolicy(ctx, err) })
		})
	}
}

// sweepAll looks at every key every sweepParts seconds.
func (l *Limiter) sweepAll(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for part := 0; ; part = (part + 1) % sweepParts {
		if part == 0 {
			l.report(l.census.end())
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for i := part; i < shards; i += sweepParts {
			l.sweep(&l.table.shards[i])
		}
	}
}

// sweep drops what is no longer needed, and begins to release idle blocks.
func (l *Limiter) sweep(s *shard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := l.clock()
	for e, own := range s.failing {
		if own.grow(now, keyTries, keyTriesPerSecond); own.left == keyTries {
			delete(s.failing, e)
		}
	}
	l.table.filterLocked(s, func(e *entry) bool {
		needed := l.neededLocked(s, e, now)
		if needed {
			l.census.see(e.key())
		}
		return needed
	})
}

// neededLocked reports whether an entry is still needed. It begins to release an
// idle block.
func (l *Limiter) neededLocked(s *shard, e *entry, now instant) bool {
	idle := now - e.seen
	switch {
	case s.flights[e] != nil:
		return true
	case now >= e.deadline:
		l.telemetry.stranded(l.policies.label(e.key().Action), e.left)
		e.left, e.size = 0, 0
		return now < e.deadline+lingerAfter
	case e.left > 0 && idle >= idleAfter:
		l.releaseIdleLocked(s, e)
		return true
	}
	return e.left > 0 || idle < dropAfter
}

// releaseIdleLocked begins to release a block, unless too many releases are in
// progress.
func (l *Limiter) releaseIdleLocked(s *shard, e *entry) {
	if s.closed || l.releasing.Load() >= maxReleasing {
		return
	}
	l.releasing.Add(1)
	f := l.boardLocked(s, e, &flight{releasing: true})
	go func() {
		defer l.releasing.Add(-1)
		l.fly(s, e, f)
	}()
}

// watch follows resets and policy documents. If watches end soon after they began,
// the next one begins later and later: each reads all documents.
func (l *Limiter) watch(ctx context.Context) {
	pause := limits.NewPause()
	pause.MaxInterval = 30 * time.Second
	w := limits.Watcher{
		Reset: l.forget,
		Policies: func(documents []limits.PolicyDocument) {
			l.listening.Lives(ctx)
			l.takeDocuments(ctx, documents)
		},
	}
	for {
		began := l.clock()
		err := l.store.Watch(ctx, w)
		if ctx.Err() != nil {
			return
		}
		l.listening.Ended(ctx, err)
		if time.Duration(l.clock()-began) > pause.MaxInterval {
			pause.Reset()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause.NextBackOff()):
		}
	}
}

func (l *Limiter) takeDocuments(ctx context.Context, documents []limits.PolicyDocument) {
	policies, faults := l.policies.documents.Replace(documents)
	if l.policies.replace(documentsLayer, policies) {
		l.logPolicies(ctx, limits.PolicyCollection, policies)
	}
	for _, err := range faults {
		l.refusePolicy(ctx, err)
	}
}

func (l *Limiter) logPolicies(ctx context.Context, source string, p limits.Policies) {
	l.options.Logger.InfoContext(ctx, "throttle policies changed", "source", source, "policies", len(p.List), "actions_closed", p.ActionsClosed)
	l.telemetry.startAt0()
}

func (l *Limiter) refusePolicy(ctx context.Context, err error) {
	l.telemetry.policiesRefused.Add(ctx, 1)
	l.options.Logger.ErrorContext(ctx, "throttle policy refused; the last good one stays in force", "error", err)
}

// forget drops what is known of a key's window, unless the reset is known already.
func (l *Limiter) forget(key limits.Key, generation int64) {
	s, hash := l.table.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.findLocked(hash, key); e != nil && e.generation != generation {
		l.telemetry.stranded(l.policies.label(key.Action), e.forget())
		l.options.Logger.Info("throttle window reset by an operator", "tenant_id", key.Tenant, "action", key.Action, "generation", generation)
	}
}
