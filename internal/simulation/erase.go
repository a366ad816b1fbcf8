package simulation

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/erasure"
	"github.com/northstar-engines/realtime-registry/internal/governor"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/registry"
)

// erasing is the erasure of a tenant by an operator, and what it has done.
type erasing struct {
	tenant  string // "": of none
	running bool
	done    bool
	// deleted are the resources that are tombstones, and erased those of them that the
	// erasure has deleted: what it deletes depends on when, so it is taken as given.
	deleted, erased map[registry.Resource]bool
}

func newErasing(tenant string) erasing {
	return erasing{tenant: tenant, deleted: map[registry.Resource]bool{}, erased: map[registry.Resource]bool{}}
}

// eraser is an operator who erases a tenant: package erasure, again and again until it
// has ended, and once more after the database was restored.
func (s *registryWorld) eraser(p *process) {
	for {
		s.sleep(p, time.Duration(p.random.IntN(90))*time.Second)
		if !s.erasing.done {
			s.erase(p)
		}
	}
}

func (s *registryWorld) erase(p *process) {
	e := erasure.Eraser{
		Store: p.store, DB: s.gate(p), Rate: governor.Unlimited, Unknown: true, Others: []string{regstore.OutboxCollection},
		Progress: func(q erasure.Progress) { s.erasing.running = s.erasing.running || q.Step == erasure.Documents },
	}
	replays, began := s.replays, time.Now()
	r, err := e.Run(p.ctx, s.erasing.tenant, p.name, "")
	s.step(p, "erased") // it does not return if the process was killed
	s.erasing.running = false
	switch {
	case replays != s.replays || err != nil && errors.Is(err, registry.ErrUnavailable):
	case errors.Is(err, erasure.ErrPending):
		s.met(ErasuresPut)
	case err != nil:
		s.fails("erase %s: %w", s.erasing.tenant, err)
	case r.LeftCount > 0: // others wrote while it was searched
		s.met(ErasuresLeft)
	default:
		s.erasing.done = true
		s.met(Erasures)
		s.trouble[ErasedMoves] += r.Moves
		s.ownsNothing(began)
	}
}

// ownsNothing holds that the erased tenant owns nothing that it owned before a time.
func (s *registryWorld) ownsNothing(before time.Time) {
	pseudonym, _ := s.pseudonym()
	s.mu.Lock()
	defer s.mu.Unlock()
	for r, all := range s.owners {
		for i := len(all) - 1; i >= 0 && (all[i].owner == s.erasing.tenant || all[i].owner == pseudonym); i-- {
			if all[i].since.Before(before) {
				s.failsLocked("%s was %s's before the erasure began at %v, and is still: %v", r, s.erasing.tenant, before, all)
			}
		}
	}
}

// pseudonym is the name that took the place of the erased tenant's, if it is known by
// now.
func (s *registryWorld) pseudonym() (name string, erased bool) {
	if s.erasing.tenant == "" {
		return "", false
	}
	return s.snapshot().Ledger.Pseudonym(s.erasing.tenant)
}

// kept is an entry as it is stored by now: perhaps without the erased tenant's name.
func (s *registryWorld) kept(e ownership.Entry) ownership.Entry {
	if pseudonym, erased := s.pseudonym(); erased {
		return e.Renamed(s.erasing.tenant, pseudonym)
	}
	return e
}

// noteTombstones holds that no tombstone has revived, and takes note of new ones. What
// an erasure deletes is the erased tenant's, or was when its ledger was read.
func (s *registryWorld) noteTombstones(p *process, now ownership.Snapshot) {
	for i, r := range s.resources {
		deleted := now.Records[i].History.Deleted()
		switch {
		case s.erasing.deleted[r] && !deleted:
			s.fails("%s was deleted, and is there again: %v", r, now.Records[i].History)
		case deleted && !s.erasing.deleted[r] && p != nil && p.role == "eraser":
			s.met(ErasedResources)
			s.erasing.erased[r] = true
			s.requireErased(r, now.Ledger)
		}
		s.erasing.deleted[r] = deleted
	}
}

func (s *registryWorld) requireErased(r registry.Resource, l *ownership.Ledger) {
	pseudonym, _ := l.Pseudonym(s.erasing.tenant)
	since := time.Now().Add(-regstore.LedgerStaleness - regstore.CommitDeadline)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ownedSince(r, s.erasing.tenant, since) && !s.ownedSince(r, pseudonym, since) {
		s.failsLocked("the erasure of %s has deleted %s: %v", s.erasing.tenant, r, s.owners[r])
	}
}

// unerased forgets what a restore has undone: the erasure is to be made again.
func (s *registryWorld) unerased() {
	s.erasing.done = false
	for _, r := range s.resources {
		deleted := s.history(r).Deleted()
		s.erasing.deleted[r] = deleted
		s.erasing.erased[r] = deleted && s.erasing.erased[r]
	}
}

// checkNames holds that nothing that is stored names the erased tenant.
func (s *registryWorld) checkNames() error {
	if !s.erasing.done {
		return nil
	}
	for _, c := range []string{regstore.Collection, regstore.LedgerCollection, regstore.FeedCollection, regstore.OutboxCollection} {
		err := s.db.Query(context.Background(), docdb.Query{Collection: c}, func(d *docdb.Document) error {
			id := path.Base(d.Name)
			if c == regstore.LedgerCollection { // a hash, which may have the letters of a short name in it
				id = ""
			}
			if names(docdb.Map(d.Fields), s.erasing.tenant) || strings.Contains(id, s.erasing.tenant) {
				return fmt.Errorf("%s was erased, and %s names it: %v", s.erasing.tenant, d.Name, d.Fields)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
