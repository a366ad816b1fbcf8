package simulation

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/rewrite"
	"github.com/northstar-engines/realtime-registry/registry"
)

// message is an event in the queue.
type message struct {
	name    string
	changes []ownership.Change
	acked   bool
	holder  *process
	n       int // its place
}

// retraction is what the operator is going to take back.
type retraction struct {
	id   string
	done bool
}

// worker takes messages, applies them, and settles them.
func (s *registryWorld) worker(p *process) {
	for {
		s.step(p, "take")
		batch := s.take(p)
		if len(batch) == 0 {
			s.idle(p)
			continue
		}
		var changes []ownership.Change
		for _, m := range batch {
			changes = append(changes, m.changes...)
		}
		replays := s.replays
		outcomes := p.store.Apply(p.ctx, changes)
		p.unacked = slices.ContainsFunc(outcomes, func(o ownership.Outcome) bool { return o.Kind == ownership.Applied })
		s.step(p, "ack")
		p.unacked = false
		for _, m := range batch {
			s.learn(m, outcomes[:len(m.changes)])
			result := handlers.Reduce(outcomes[:len(m.changes)])
			outcomes = outcomes[len(m.changes):]
			if result.Outcome != handlers.Transient && replays == s.replays {
				m.acked = true
			}
			if m.holder == p {
				m.holder = nil
			}
		}
	}
}

// learn takes note of what an operator would be told of.
func (s *registryWorld) learn(m *message, outcomes []ownership.Outcome) {
	for i, o := range outcomes {
		switch {
		case o.Kind == ownership.Conflict && m.changes[i].Entry.Type == ownership.Moved:
			s.met(NamesTwice)
		case o.Kind == ownership.Gone:
			s.met(Absorbed)
		case o.Kind == ownership.HistoryFull:
			s.met(Full)
			s.refused[m.changes[i]] = true
		case o.Kind != ownership.Duplicate && o.Displaced != nil:
			s.met(Displaced)
		}
	}
}

// claim is one that was answered yes, or whose answer was lost.
type claim struct {
	tenant   string
	resource registry.Resource
	yes      bool
}

// createFlow claims resources, for any tenant.
func (s *registryWorld) createFlow(p *process) {
	for {
		s.sleep(p, time.Duration(p.random.IntN(20))*time.Second)
		c := claim{tenant: fmt.Sprint("t_", string(rune('a'+p.random.IntN(4)))), resource: s.resources[p.random.IntN(len(s.resources))]}
		if s.isCalm() {
			continue
		}
		s.claims = append(s.claims, c) // killed in the middle, it may be stored
		at := len(s.claims) - 1
		before := s.history(c.resource)
		created, err := p.store.Claim(p.ctx, c.tenant, c.resource)
		s.step(p, "answer the claim")
		s.claims[at].yes = created
		if kept, ok := s.history(c.resource).Claimed(); ok && err == nil && !created &&
			kept.Tenant == c.tenant && !holdsEvent(before, kept) && !s.archived(c.resource, kept) {
			s.fails("the claim of %s for %s was stored, and answered 204", c.resource, c.tenant)
		}
		switch {
		case errors.Is(err, registry.ErrConflict):
			s.met(ClaimsRefused)
		case created:
			s.met(Claims)
			if len(before) > 0 {
				s.met(ClaimsJoined)
			}
		}
	}
}

// idle waits for something to do: once there is no more trouble, for long, since a
// job that has failed is tried again after minutes.
func (s *registryWorld) idle(p *process) {
	if s.isCalm() {
		s.sleep(p, 20*time.Second)
		return
	}
	s.sleep(p, time.Second)
}

// take leases up to four messages, in any order. Now and then one is among them
// that another worker has, or that was settled long ago.
func (s *registryWorld) take(p *process) (batch []*message) {
	calm := s.isCalm()
	for range 1 + p.random.IntN(4) {
		if len(s.messages) == 0 {
			return nil
		}
		m := s.messages[p.random.IntN(len(s.messages))]
		again := m.acked || m.holder != nil
		if s.waits(m) {
			continue
		}
		if again && (calm || m.acked && !s.redeliver || p.random.IntN(8) != 0 || s.plan.without(Duplicates)) {
			continue
		}
		if again {
			s.met(Duplicates)
		}
		batch = append(batch, s.lease(p, m))
	}
	if len(batch) == 0 {
		for _, m := range s.messages {
			if !m.acked && m.holder == nil && !s.waits(m) {
				return append(batch, s.lease(p, m))
			}
		}
	}
	return batch
}

func (s *registryWorld) lease(p *process, m *message) *message {
	m.holder = p
	if m.n < s.furthest {
		s.met(Reordered)
	}
	s.furthest = max(s.furthest, m.n)
	return m
}

// rewriter is package rewrite.
func (s *registryWorld) rewriter(p *process) {
	var store ownership.Rewriter = p.store
	if s.plan.Rules.LastPass {
		store = hasty{store}
	}
	worker, err := rewrite.New(store, rewrite.Options{Holder: p.name, Lease: lease, Page: 1, AtOnce: 3, Rate: governor.Unlimited})
	if err != nil {
		s.fails("rewrite: %w", err)
		return
	}
	for {
		if err := worker.RunPending(p.ctx); errors.Is(err, ownership.ErrNoJob) {
			s.idle(p)
		}
		s.step(p, "next job")
	}
}

// operator takes moves back, at any time, and has jobs tried again that are parked.
func (s *registryWorld) operator(p *process) {
	for {
		s.sleep(p, time.Duration(p.random.IntN(30))*time.Second)
		for _, m := range s.moves() {
			if m.Rewriting.Parked() {
				_ = p.store.ResumeJob(p.ctx, m.EventName()) // or later
				s.met(Parked)
			}
		}
		s.finish(p)
		if len(s.retractions) == 0 {
			continue
		}
		r := s.retractions[p.random.IntN(len(s.retractions))]
		replays := s.replays
		outcome := p.store.Apply(p.ctx, []ownership.Change{ownership.Retraction(ownership.Version{Time: retractedAt, Source: source, ID: r.id}, "", "")})[0]
		s.step(p, "retracted")
		r.done = r.done || outcome.Kind != ownership.Failed && replays == s.replays
	}
}

// finish ends the upgrade of the registry, some time: the feed is spread over shards
// from then on, while processes that have not seen it go on as before.
func (s *registryWorld) finish(p *process) {
	if p.random.IntN(4) != 0 || s.isCalm() {
		return
	}
	if changed, err := p.store.Finish(p.ctx); err == nil && changed {
		s.met(Finished)
	}
}

// retractedAt does not depend on when the operator comes to it.
var retractedAt = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
