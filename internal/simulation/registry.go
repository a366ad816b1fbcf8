package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb"
	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/registry"
)

// lease is that of the rewriters.
const lease = 30 * time.Second

// registryWorld is the registry, and all who have to do with it.
type registryWorld struct {
	*simulation
	contents *rand.Rand // of what there is to do
	truth    *regstore.Store

	messages    []*message
	furthest    int // the place of the latest message that was delivered
	retractions []*retraction
	claims      []claim
	refused     map[ownership.Change]bool // as history_full, once at least
	resources   []registry.Resource
	owners      map[registry.Resource][]owned // since when, in order
	redeliver   bool                          // messages that were settled come again, which repairs much
	promised    bool                          // clocks are within the bound for which readers are promised theirs
	changed     bool                          // the ledger, since it was looked for jobs
	pending     bool                          // it had some then
	snapshots   bool                          // of the ledger are written
	deletions   bool                          // are among the messages
	erasing     erasing
	logging     logging
	restoring   restoring
	backup      backup
	log         []*message // of claims that are lost until it is replayed
	replays     int        // what was settled before the last one does not count
}

// registryProcess is what a process of the registry has.
type registryProcess struct {
	store   *regstore.Store
	reads   map[registry.Resource]int // of documents
	unacked bool                      // it has committed what is not acknowledged
	waiting map[string]bool           // documents that it has put into the outbox, and not taken out
	job     jobLeftOut
}

func newRegistryWorld(s *simulation) *registryWorld {
	w := &registryWorld{
		simulation: s,
		contents:   rand.New(rand.NewPCG(s.plan.Seed, 5)),
		refused:    map[ownership.Change]bool{},
		owners:     map[registry.Resource][]owned{},
		redeliver:  s.random.IntN(2) == 0,
		promised:   s.random.IntN(16) != 0,
		snapshots:  s.plan.Seed%4 == 3, // by no random choice: the other seeds do what they did without
		deletions:  s.plan.Seed%5 == 4,
	}
	if s.plan.Seed%6 == 5 || s.plan.with(Erased) {
		w.erasing = newErasing(fmt.Sprint("t_", string(rune('a'+s.plan.Seed/6%4))))
	} else {
		w.erasing = newErasing("")
	}
	w.logging = logging{s.plan.Seed%7 == 6 || s.plan.with(Logged), map[string]bool{}, map[string]bool{}}
	w.makeEvents()
	return w
}

func (s *registryWorld) start() (err error) {
	if s.truth, err = regstore.Open(context.Background(), s.db, regstore.Options{}); err != nil {
		return err
	}
	if s.logging.on {
		if _, _, err := s.truth.BeginLog(context.Background()); err != nil {
			return err
		}
	}
	for _, p := range []struct {
		role string
		body func(*process)
	}{
		{"worker", s.worker}, {"worker", s.worker}, {"worker", s.worker},
		{"rewriter", s.rewriter}, {"rewriter", s.rewriter},
		{"operator", s.operator}, {"reader", s.reader}, {"create flow", s.createFlow},
	} {
		s.add(p.role, func(q *process) { s.open(q, p.body) })
	}
	if s.snapshots {
		for range 2 {
			s.add("snapshotter", func(q *process) { s.open(q, s.snapshotter) })
		}
	}
	if s.erasing.tenant != "" {
		s.add("eraser", func(q *process) { s.open(q, s.eraser) })
	}
	if s.plan.with(Restored) {
		s.add("restorer", s.restorer)
	}
	return nil
}

// open opens the store of a process, and sets its clock apart: by up to 11 hours,
// since entries of the feed are kept for a day by the clocks of those who write
// them, and readers take account of half of it; or by so much that they are gone
// at once.
func (s *registryWorld) open(p *process, body func(*process)) {
	p.reads = map[registry.Resource]int{}
	if most := int64(11 * time.Hour); !s.plan.without(Clocks) {
		p.ahead = time.Duration(p.random.Int64N(2*most) - most)
		if !s.promised {
			p.ahead -= 24 * time.Hour
		}
	}
	for p.store == nil {
		p.store, _ = regstore.Open(p.ctx, s.gate(p), s.options(p.chance()))
		s.step(p, "open")
	}
	s.publishes(p)
	body(p)
}

// call implements world.
func (s *registryWorld) call(p *process, c *docdbtest.Call, do func() error) error {
	for _, name := range c.Names {
		if r, err := registry.ParseDocumentID(path.Base(name)); err == nil {
			p.reads[r]++
		}
	}
	if err := s.isAway(p); err != nil {
		return err
	}
	return s.leaveOut(p, c, do)
}

// wrote implements world: it takes note of who owns what from now on.
func (s *registryWorld) wrote(p *process, c *docdbtest.Call) {
	changed := slices.ContainsFunc(c.Writes, func(w docdb.Write) bool { return path.Dir(w.Name) == regstore.LedgerCollection })
	if changed && s.snapshots {
		s.startsWhole()
	}
	s.changed = s.changed || changed
	s.noteOutbox(p, c.Writes)
	s.owns(p)
}

// owns takes note of who owns what from now on, after a write of a process, if it was
// one.
func (s *registryWorld) owns(p *process) {
	snapshot, err := s.truth.Read(context.Background(), s.resources)
	if err != nil {
		s.fails("read: %w", err)
		return
	}
	s.noteTombstones(p, snapshot)
	s.noteClaims(snapshot)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range s.resources {
		before, owner := s.owners[r], snapshot.Records[i].History.Owner(snapshot.Ledger)
		if len(before) == 0 || before[len(before)-1].owner != owner {
			s.owners[r] = append(before, owned{time.Now(), owner})
			if ownership.IsPseudonym(owner) {
				s.trouble[ErasedLate]++
			}
		}
	}
}

// owned is who owned a resource since a time.
type owned struct {
	since time.Time
	owner string
}

func (o owned) String() string {
	return fmt.Sprintf("%s since %.3f", o.owner, o.since.Sub(began).Seconds())
}

// owner is who owns a resource now.
func (s *registryWorld) owner(r registry.Resource) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if all := s.owners[r]; len(all) > 0 {
		return all[len(all)-1].owner
	}
	return ""
}

// ownedSince reports whether a tenant has owned a resource at any time from then
// on.
func (s *registryWorld) ownedSince(r registry.Resource, tenant string, since time.Time) bool {
	all := s.owners[r]
	for i, o := range all {
		if o.owner == tenant && (i == len(all)-1 || !all[i+1].since.Before(since)) {
			return true
		}
	}
	return false
}

// mildness implements world.
func (s *registryWorld) mildness() mildness { return mildness{kill: 60, stop: 900, days: true} }

// lost implements world.
func (s *registryWorld) lost(*process) {}

// kills implements world.
func (s *registryWorld) kills(p *process) {
	if p.unacked {
		s.met(KilledUnacked)
	}
	if s.hasJob(p) {
		s.met(KilledRewriter)
	}
	if len(p.waiting) > 0 {
		s.met(KilledUnpublished)
	}
	if p.role == "eraser" && s.erasing.running {
		s.met(KilledEraser)
		s.erasing.running = false
	}
	for _, m := range s.messages {
		if m.holder == p {
			m.holder = nil // its lease ends, some time
		}
	}
}

// hasJob reports whether a rewriter has the lease, which it has as long as there are
// jobs.
func (s *registryWorld) hasJob(p *process) bool {
	lease, err := s.truth.Lease(context.Background())
	if err != nil {
		s.fails("read the lease: %w", err)
	}
	return p.role == "rewriter" && lease.Holder == p.name
}

func (s *registryWorld) moves() []ownership.LedgerEntry {
	moves, err := s.truth.Moves(context.Background())
	if err != nil {
		s.fails("list moves: %w", err)
	}
	return moves
}

// done implements world: all messages are settled, all retractions made, and all
// documents rewritten; what is to be restored is restored, what is to be erased is
// erased, and what is to be published is published.
func (s *registryWorld) done() bool {
	if s.first("restorer") != nil && s.restoring != recovered || s.first("eraser") != nil && !s.erasing.done {
		return false
	}
	for _, m := range s.messages {
		if !m.acked || m.holder != nil {
			return false
		}
	}
	for _, r := range s.retractions {
		if !r.done {
			return false
		}
	}
	if s.changed {
		s.changed, s.pending = false, slices.ContainsFunc(s.moves(), func(m ownership.LedgerEntry) bool { return m.Rewriting.Pending() })
	}
	return !s.pending && s.outboxIsEmpty()
}
