package simulation

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
)

// restoring is how far an operator is who restores the database while processes live.
type restoring int

const (
	notBackedUp restoring = iota
	backedUp
	away      // the database: nobody gets an answer
	restored  // but not recovered
	recovered // and replayed
)

// backup is the database as it was, by the names of documents.
type backup map[string]*docdb.Document

var backedUpCollections = []string{regstore.Collection, regstore.LedgerCollection, regstore.FeedCollection, regstore.OutboxCollection}

// restorer makes a backup, and restores it some time later: the database is away for
// longer than a writer's commit may be under way, as it is while the service restores,
// and comes back to processes when it was recovered. Then all events are delivered
// again, the operator repeats what was taken back, and the log of claims is replayed.
func (s *registryWorld) restorer(p *process) {
	for {
		switch s.restoring {
		case notBackedUp:
			s.sleep(p, time.Duration(p.random.IntN(60))*time.Second)
			switch all := s.copied(); {
			case all[s.db.Name(regstore.LedgerCollection, "head")] != nil:
				s.backup, s.restoring = all, backedUp
			case s.isCalm(): // nothing is written, so there is nothing to restore
				s.restoring = recovered
			}
		case backedUp:
			s.sleep(p, time.Duration(p.random.IntN(120))*time.Second)
			s.restoring = away
		case away:
			s.sleep(p, regstore.LedgerStaleness+regstore.CommitDeadline+time.Duration(1+p.random.IntN(60))*time.Second)
			s.restore()
			s.restoring = restored
		case restored:
			store, err := regstore.Open(p.ctx, s.gate(p), s.options(p.chance()))
			if err == nil {
				_, _, err = store.Recover(p.ctx)
			}
			if s.step(p, "recover"); err == nil { // it does not return if the process was killed
				s.restoring = recovered
				s.replay()
			}
		case recovered:
			s.sleep(p, time.Hour)
		}
	}
}

// isAway fails the call of a process while the database is away.
func (s *registryWorld) isAway(p *process) error {
	if p.role != "restorer" && (s.restoring == away || s.restoring == restored) {
		return status.Error(codes.Unavailable, "the database is being restored")
	}
	return nil
}

// copied returns what is stored now.
func (s *registryWorld) copied() backup {
	all := backup{}
	for _, c := range backedUpCollections {
		if err := s.db.Query(context.Background(), docdb.Query{Collection: c}, func(d *docdb.Document) error {
			all[d.Name] = d
			return nil
		}); err != nil {
			s.fails("back up: %w", err)
		}
	}
	return all
}

// restore brings the database back to the backup. What the log has of claims is to be
// replayed.
func (s *registryWorld) restore() {
	s.met(Restores)
	var claims []ownership.Change
	for _, r := range s.resources {
		if claim, ok := s.history(r).Claimed(); ok {
			claims = append(claims, ownership.Change{Resource: r, Entry: s.said(claim)})
		}
	}
	var writes []docdb.Write
	for name := range s.copied() {
		if s.backup[name] == nil {
			writes = append(writes, docdb.Write{Name: name, Delete: true})
		}
	}
	for name, d := range s.backup {
		writes = append(writes, docdb.Write{Name: name, Fields: d.Fields})
	}
	if _, err := s.db.Commit(context.Background(), writes...); err != nil {
		s.fails("restore: %w", err)
	}
	var err error
	if s.truth, err = regstore.Open(context.Background(), s.db, regstore.Options{}); err != nil {
		s.fails("open what was restored: %w", err)
		return
	}
	for i, c := range claims {
		if !s.history(c.Resource).Has(c.Entry) {
			s.log = append(s.log, &message{name: fmt.Sprint("logged claim ", i), n: len(s.messages) + len(s.log), changes: []ownership.Change{c}})
			s.met(ClaimsLost)
		}
	}
	s.unerased()
	s.owns(nil)
}

// said is a claim as the log has it: with the name of the tenant that was erased since.
func (s *registryWorld) said(claim ownership.Entry) ownership.Entry {
	if pseudonym, erased := s.pseudonym(); erased {
		return claim.Renamed(pseudonym, s.erasing.tenant)
	}
	return claim
}

// replay delivers all that was delivered before again, and what was logged.
func (s *registryWorld) replay() {
	s.messages, s.log = append(s.messages, s.log...), nil
	s.replays++
	s.erasing.done = false
	for _, m := range s.messages {
		m.acked = false
	}
	for _, r := range s.retractions {
		r.done = false
	}
	s.changed = true
}
