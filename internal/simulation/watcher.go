package simulation

import (
	"context"
	"time"

	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// watcher is a transport that watches a list (verifier.WatchAll), and holds what it
// is told against the truth.
func (s *registryWorld) watcher(p *process, v *verifier.Verifier) {
	for {
		s.step(p, "watch")
		var asked []verifier.Ownership
		for _, r := range s.resources {
			if owner := s.owner(r); owner != "" {
				asked = append(asked, verifier.Ownership{TenantID: owner, Resource: r})
			}
		}
		w, refused, err := v.WatchAll(p.ctx, asked)
		s.step(p, "take what is refused")
		if err != nil {
			s.sleep(p, time.Second)
			continue
		}
		open := map[int]bool{}
		for i := range asked {
			open[i] = true
		}
		for _, i := range refused {
			delete(open, i)
		}
		for range 1 + p.random.IntN(8) {
			if !s.news(p, w, asked, open) {
				break
			}
		}
		w.Close()
	}
}

// news waits for what a watcher tells, and reports whether it has not ended.
func (s *registryWorld) news(p *process, w *verifier.Watcher, asked []verifier.Ownership, open map[int]bool) bool {
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	news, err := w.Next(ctx)
	s.step(p, "take the news")
	if err != nil {
		return ctx.Err() != nil
	}
	for _, i := range news.Lost {
		s.met(ListLost)
		delete(open, i)
	}
	if !news.Certified || !s.promised {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble[ListCertified]++
	for i := range open {
		if o := asked[i]; !s.ownedSince(o.Resource, o.TenantID, news.At.Add(-news.Age)) {
			s.failsLocked("%s is not told to have lost %s, as of %v before %v: %v", o.TenantID, o.Resource, news.Age, news.At, s.owners[o.Resource])
		}
	}
	return true
}
