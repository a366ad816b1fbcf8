package simulation

import (
	"context"
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// staleness is the bound that readers are promised.
const staleness = 2 * time.Second

// oneShard is a size of the cache at which it has one shard, so that what a run
// does is not for hashes to say, whose seeds differ.
const oneShard = 63

// reader is a transport: it checks with package verifier, keeping what it was
// told, and watches what it was allowed.
func (s *registryWorld) reader(p *process) {
	v, err := verifier.New(p.store, verifier.Options{MaxStaleness: staleness, MaxAge: verifier.Unbounded, CacheEntries: oneShard})
	if err != nil {
		s.fails("verifier: %w", err)
		return
	}
	context.AfterFunc(p.ctx, v.Close)
	if p.random.IntN(3) == 0 {
		s.watcher(p, v)
	}
	for {
		s.step(p, "check")
		resource := s.resources[p.random.IntN(len(s.resources))]
		tenant := s.asks(p, resource)
		began, reads := time.Now(), p.reads[resource]
		changed := v.Watch(p.ctx, resource)
		err := v.Verify(p.ctx, tenant, resource)
		s.step(p, "take the answer")
		if err != nil {
			s.sleep(p, time.Duration(p.random.IntN(1000))*time.Millisecond)
			continue
		}
		s.allowed(resource, tenant, began, p.reads[resource] == reads)
		s.watch(p, resource, tenant, changed)
	}
}

// asks is a tenant that may ask for a resource: its owner, the one before, which may
// not know yet, or any.
func (s *registryWorld) asks(p *process, r registry.Resource) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	back := []int{1, 1, 2, 2, 3}[p.random.IntN(5)]
	if all := s.owners[r]; len(all) >= back && all[len(all)-back].owner != "" {
		return all[len(all)-back].owner
	}
	return "t_a"
}

// allowed holds a yes against the truth.
func (s *registryWorld) allowed(r registry.Resource, tenant string, began time.Time, kept bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble[Allowed]++
	if kept {
		s.trouble[Remembered]++
	}
	if s.promised && !s.ownedSince(r, tenant, began.Add(-staleness)) {
		s.failsLocked("a check of %s that began at %v was answered yes for %s, from memory %t: %v", r, began, tenant, kept, s.owners[r])
	}
}

// watch holds an open watch against the truth for a while.
func (s *registryWorld) watch(p *process, r registry.Resource, tenant string, changed <-chan struct{}) {
	s.met(Watches)
	for range p.random.IntN(4) {
		select {
		case <-changed:
			s.met(WatchesEnded)
			return
		case <-time.After(time.Duration(p.random.IntN(1500)) * time.Millisecond):
			s.step(p, "look at the watch")
		}
		select {
		case <-changed:
		default:
			s.mu.Lock()
			if s.promised && !s.ownedSince(r, tenant, time.Now().Add(-staleness)) {
				s.failsLocked("a watch of %s for %s is open at %v: %v", r, tenant, time.Now(), s.owners[r])
			}
			s.mu.Unlock()
		}
	}
}
