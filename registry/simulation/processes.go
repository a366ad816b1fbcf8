package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/handlers"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/rewrite"
)

func (s *simulation) start() {
	for range 3 {
		s.processes = append(s.processes, s.spawn("worker", s.worker))
	}
	for range 2 {
		s.processes = append(s.processes, s.spawn("rewriter", s.rewriter))
	}
	s.processes = append(s.processes, s.spawn("operator", s.operator), s.spawn("reader", s.reader),
		s.spawn("create flow", s.createFlow))
}

// message is an event in the queue.
type message struct {
	name    string
	changes []registry.Change
	acked   bool
	holder  *process
	taken   int
}

// retraction is what the operator is going to take back.
type retraction struct {
	id   string
	done bool
}

// worker takes messages, applies them, and settles them.
func (s *simulation) worker(p *process) {
	for {
		batch := s.take(p)
		if len(batch) == 0 {
			s.sleep(p, time.Second)
			continue
		}
		var changes []registry.Change
		for _, m := range batch {
			changes = append(changes, m.changes...)
		}
		outcomes := p.store.Apply(s.ctx, changes)
		p.unacked = slices.ContainsFunc(outcomes, func(o registry.Outcome) bool { return o.Kind == registry.Applied })
		p.step("ack")
		p.unacked = false
		for _, m := range batch {
			s.note(m, outcomes[:len(m.changes)])
			result := handlers.Reduce(outcomes[:len(m.changes)])
			outcomes = outcomes[len(m.changes):]
			if result.Verdict != handlers.Transient {
				m.acked = true
			}
			if m.holder == p {
				m.holder = nil
			}
		}
	}
}

// note takes note of what an operator would be told of.
func (s *simulation) note(m *message, outcomes []registry.Outcome) {
	for i, o := range outcomes {
		switch {
		case o.Kind == registry.Conflict && m.changes[i].Entry.Type == registry.Moved:
			s.trouble.NamesTwice++
		case o.Kind == registry.HistoryFull:
			s.trouble.Full++
			s.refused[m.changes[i]] = true
		case o.Kind != registry.Duplicate && o.Displaced != nil:
			s.trouble.Displaced++
		}
	}
}

// claim is one that was answered yes, or whose answer nobody knows.
type claim struct {
	tenant   string
	resource registry.Resource
	yes      bool
}

// createFlow claims resources, for any tenant.
func (s *simulation) createFlow(p *process) {
	for {
		s.sleep(p, time.Duration(s.random.IntN(20))*time.Second)
		c := claim{tenant: fmt.Sprint("t_", string(rune('a'+s.random.IntN(4)))), resource: s.resources[s.random.IntN(len(s.resources))]}
		if s.calm {
			continue
		}
		s.claims = append(s.claims, c) // killed in the middle, it may be stored
		at := len(s.claims) - 1
		before, _ := s.store.Read(s.ctx, []registry.Resource{c.resource})
		created, err := p.store.Claim(s.ctx, c.tenant, c.resource)
		s.claims[at].yes = created
		switch {
		case errors.Is(err, registry.ErrConflict):
			s.trouble.ClaimsRefused++
		case created:
			s.trouble.Claims++
			if len(before.Records[0].History) > 0 {
				s.trouble.ClaimsJoined++
			}
		}
	}
}

// take leases up to four messages, in any order. Now and then one is among them
// that another worker has, or that was settled long ago.
func (s *simulation) take(p *process) (batch []*message) {
	for range 1 + s.random.IntN(4) {
		m := s.messages[s.random.IntN(len(s.messages))]
		again := m.acked || m.holder != nil
		if again && (s.calm || m.acked && !s.redeliver || s.random.IntN(8) != 0) {
			continue
		}
		if again {
			s.trouble.Duplicates++
		}
		m.taken++
		m.holder = p
		batch = append(batch, m)
	}
	if len(batch) == 0 {
		for _, m := range s.messages {
			if !m.acked && m.holder == nil {
				m.holder = p
				return append(batch, m)
			}
		}
	}
	return batch
}

// rewriter is package rewrite.
func (s *simulation) rewriter(p *process) {
	sleep := func(_ context.Context, d time.Duration) error {
		s.sleep(p, d)
		return nil
	}
	worker, err := rewrite.New(p.store, rewrite.Options{
		Holder: p.name, Lease: lease, Page: 2, Rate: governor.Unlimited,
		Sleep: sleep, Now: func() time.Time { return s.now },
	})
	if err != nil {
		s.fault = err
	}
	for {
		if err := worker.RunNext(s.ctx); errors.Is(err, registry.ErrNoJob) {
			s.sleep(p, time.Second)
		}
		p.step("next job")
	}
}

// operator takes moves back, at any time.
func (s *simulation) operator(p *process) {
	for {
		s.sleep(p, time.Duration(s.random.IntN(30))*time.Second)
		if len(s.retractions) == 0 {
			continue
		}
		r := s.retractions[s.random.IntN(len(s.retractions))]
		if p.store.Retract(s.ctx, registry.Retraction{Source: source, ID: r.id, At: retractedAt}).Kind != registry.Failed {
			r.done = true
		}
	}
}

// retractedAt does not depend on when the operator comes to it.
var retractedAt = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// reader caches histories as verifiers do: it drops what the change feed names,
// and folds what is left with the ledger of now. Its answers must be those of
// now, whatever happened meanwhile.
func (s *simulation) reader(p *process) {
	cache := map[registry.Resource]registry.History{}
	processed := len(s.store.Feed())
	// certify processes the feed, and says for which resources there was an
	// entry since a position.
	certify := func() {
		feed := s.store.Feed()
		for _, e := range feed[processed:] {
			delete(cache, e.Resource)
		}
		processed = len(feed)
	}
	for {
		resource := s.resources[s.random.IntN(len(s.resources))]
		began := processed
		snapshot, err := p.store.Read(s.ctx, []registry.Resource{resource})
		p.step("insert")
		certify()
		if err == nil && snapshot.Records[0].Exists() {
			void := false
			for _, e := range s.store.Feed()[began:] {
				void = void || e.Resource == resource
			}
			if !void {
				cache[resource] = snapshot.Records[0].History
			}
		}
		s.sleep(p, time.Duration(s.random.IntN(1000))*time.Millisecond)
		certify()
		s.answer(cache)
	}
}

// answer holds what the cache says against the truth.
func (s *simulation) answer(cache map[registry.Resource]registry.History) {
	for _, resource := range s.resources { // in order: maps have none
		history, ok := cache[resource]
		if !ok {
			continue
		}
		truth, err := s.store.Read(s.ctx, []registry.Resource{resource})
		if err != nil {
			s.fault = err
			return
		}
		if !history.Settled(truth.Ledger) {
			continue // it would be read again
		}
		s.trouble.Checks++
		if got, want := history.Owner(truth.Ledger), truth.Records[0].History.Owner(truth.Ledger); got != want {
			s.fault = fmt.Errorf("a cached history says that %s is %s's, which is %s's", resource, got, want)
		}
	}
}
