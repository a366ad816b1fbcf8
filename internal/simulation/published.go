package simulation

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/events"
	"github.com/northstar-engines/realtime-registry/internal/archived"
	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/outbox"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
)

// logging is the registry's log: what was stored that it has to have, and what it has.
type logging struct {
	on        bool
	claimed   map[string]bool // ids of claims that were ever stored
	published map[string]bool // ids of claims, and of moves that were retracted
}

// publishes has a process publish what it stores, and what others have left: package
// outbox.
func (s *registryWorld) publishes(p *process) {
	p.waiting = map[string]bool{}
	if !s.logging.on || p.role == "reader" { // who writes nothing
		return
	}
	publisher, err := outbox.New(p.store, outbox.Options{
		Holder: p.name, Drain: time.Nanosecond,
		Open: func(context.Context) (outbox.Topic, error) { return topic{s, p}, nil },
	})
	if err != nil {
		s.fails("outbox: %w", err)
		return
	}
	go publisher.Run(p.ctx)
}

// topic is the log's topic as a process has it.
type topic struct {
	*registryWorld
	p *process
}

var errNotPublished = errors.New("the topic has not answered")

// Publish implements outbox.Topic. It may fail, and what it has published may not be
// confirmed.
func (t topic) Publish(ctx context.Context, all []events.Event) []error {
	errs := make([]error, len(all))
	about := fmt.Sprint(len(all), " ", all[0].ID)
	how := t.stands(ctx, t.p, "publish", about)
	if how == goes {
		for _, e := range all {
			t.publish(e)
		}
		if !t.isCalm() {
			how = t.stands(ctx, t.p, answer, about)
		}
	}
	if how != goes {
		for i := range errs {
			errs[i] = errNotPublished
		}
	}
	return errs
}

// Close implements outbox.Topic.
func (t topic) Close() {}

// publish holds that what is published is stored, or was before a restore.
func (t topic) publish(e events.Event) {
	stored, id := false, e.ID
	switch data := e.Data.(type) {
	case archived.Claimed:
		stored = t.logging.claimed[id]
	case archived.Retracted:
		id = data.EventID
		move, ok := t.snapshot().Ledger.Find(ownership.EventName{Source: data.EventSource, ID: id})
		stored = ok && (move.Retracted || move.RetractionOnly)
	}
	if !stored && t.first("restorer") == nil {
		t.fails("the log says %s %s, which is not stored", e.Type(), id)
	}
	t.met(Published)
	t.logging.published[id] = true
}

// noteOutbox takes note of what a process has put into the outbox, and of what it has
// taken out.
func (s *registryWorld) noteOutbox(p *process, writes []docdb.Write) {
	for _, w := range writes {
		switch {
		case path.Dir(w.Name) != regstore.OutboxCollection:
		case !w.Delete:
			p.waiting[w.Name] = true
		case !p.waiting[w.Name]:
			s.met(Swept)
		default:
			delete(p.waiting, w.Name)
		}
	}
}

// noteClaims takes note of the claims that are stored.
func (s *registryWorld) noteClaims(now ownership.Snapshot) {
	if !s.logging.on {
		return
	}
	for _, r := range now.Records {
		if claim, ok := r.History.Claimed(); ok {
			s.logging.claimed[claim.ID] = true
		}
	}
}

// outboxIsEmpty reports whether nothing waits to be published.
func (s *registryWorld) outboxIsEmpty() bool {
	empty := true
	if s.logging.on {
		err := s.db.Query(context.Background(), docdb.Query{Collection: regstore.OutboxCollection, Limit: 1}, func(*docdb.Document) error {
			empty = false
			return nil
		})
		if err != nil {
			s.fails("read the outbox: %w", err)
		}
	}
	return empty
}

// checkLog holds that the log has every claim that was answered yes, and every
// retraction. What a restore has taken out of the outbox it cannot have.
func (s *registryWorld) checkLog() error {
	if !s.logging.on || s.first("restorer") != nil {
		return nil
	}
	for _, c := range s.claims {
		if id := ownership.ClaimEntry(c.tenant, c.resource, time.Time{}).ID; c.yes && !s.logging.published[id] {
			return fmt.Errorf("the claim %s was answered yes, and the log does not have it", id)
		}
	}
	i := slices.IndexFunc(s.retractions, func(r *retraction) bool { return !s.logging.published[r.id] })
	if i >= 0 {
		return fmt.Errorf("%s was retracted, and the log does not say so", s.retractions[i].id)
	}
	return nil
}
