// Package simulation runs workers, rewriters, an operator, create flows that
// claim, and verifiers with their caches and watches in one process, under a
// scheduler with a seed, and holds what comes out against the independent fold in
// internal/reference. It is for proofs.
//
// The code that runs is what ships: the store over a document database in memory
// (registry/internal/docstore, internal/docdb/memdb), package rewrite, package
// verifier, package handlers' reduction. Only the loop that takes and settles
// messages is the simulation's. Each process has the database through a gate,
// where each call stands before it is made, and each write again before its answer
// is taken. The scheduler alone decides which one goes on, while everything else
// stands still: it lets others go first, moves the clock, delivers messages again,
// loses answers after commits, and kills processes at any of these points; a
// process that comes after a killed one knows nothing of it. What a killed process
// has not sent by then is never made.
//
// The clock is that of a testing/synctest bubble. A seed makes the run: the same
// seed, the same steps, but for those of readers, who wait by chances of their own
// and change nothing; and unless the collector of garbage comes by, since the store
// keeps ledgers as long as somebody uses them.
package simulation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/internal/docstore"
)

// lease is that of the rewriters.
const lease = 30 * time.Second

// Run runs one seed to quiescence, in a bubble. The error says what did not hold.
func Run(t *testing.T, seed uint64, rules Rules) (trouble Trouble, err error) {
	synctest.Test(t, func(*testing.T) { trouble, err = run(seed, rules) })
	return trouble, err
}

func run(seed uint64, rules Rules) (Trouble, error) {
	s := &simulation{
		random:  rand.New(rand.NewPCG(seed, 1)),
		readers: rand.New(rand.NewPCG(seed, 4)),
		rules:   rules,
		db:      memdb.New(time.Now),
		refused: map[registry.Change]bool{},
		owners:  map[registry.Resource][]owned{},
	}
	s.redeliver = s.random.IntN(2) == 0
	s.slowness = []int{4, 30, 200}[s.random.IntN(3)]
	truth, err := docstore.Open(context.Background(), s.db, docstore.Options{})
	if err != nil {
		return s.trouble, err
	}
	s.truth = truth
	s.makeEvents()
	s.start()
	err = s.schedule()
	for _, p := range s.processes {
		s.end(p)
	}
	time.Sleep(time.Minute) // what waits for something in vain gives up
	if err == nil {
		err = s.check()
	}
	if err != nil {
		err = fmt.Errorf("seed %d: %w\n%s", seed, err, s.events())
	}
	return s.trouble, err
}

type simulation struct {
	random  *rand.Rand
	readers *rand.Rand // what readers do depends on chances that are the verifier's own
	rules   Rules
	db      *memdb.DB
	truth   *docstore.Store // without a gate
	trouble Trouble

	messages    []*message
	retractions []*retraction
	claims      []claim
	refused     map[registry.Change]bool // as history_full, once at least
	resources   []registry.Resource
	owners      map[registry.Resource][]owned // since when, in order
	processes   []*process
	started     int
	slowness    int  // how many steps it takes until the clock moves
	redeliver   bool // messages that were settled come again, which repairs much

	mu      sync.Mutex
	waiting []*stand
	calm    bool // no more kills and faults: what is left is to end
	fault   error
}

// process is one process of the simulation, with all its goroutines.
type process struct {
	role   string
	name   string // its role, and a number
	number int
	body   func(*process)
	random *rand.Rand
	store  *docstore.Store
	ctx    context.Context
	cancel context.CancelFunc

	reads   map[registry.Resource]int // of documents
	unacked bool                      // it has committed what is not acknowledged
	job     jobLeftOut
}

// stand is a goroutine that stands before a step.
type stand struct {
	*process
	what  string
	key   string        // tells apart what one process has at once
	until time.Time     // held up
	on    chan stepping // has room for one
}

// stepping is how a step goes on.
type stepping int

const (
	goes     stepping = iota
	fails             // the store is down, or the answer is lost
	isKilled          // the process is
)

// killed unwinds a goroutine of a process that does not go on.
type killed struct{}

func (s *simulation) spawn(role string, body func(*process)) *process {
	s.started++
	p := &process{
		role: role, name: fmt.Sprintf("%s-%d", role, s.started), number: s.started, body: body,
		random: rand.New(rand.NewPCG(s.random.Uint64(), 2)), reads: map[registry.Resource]int{},
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	go func() {
		defer func() {
			if r := recover(); r != nil && r != (killed{}) {
				panic(r)
			}
		}()
		for p.store == nil {
			p.store, _ = docstore.Open(p.ctx, s.gate(p), docstore.Options{LedgerRate: 1e6, Chance: p.chance()})
			s.step(p, "open")
		}
		body(p)
	}()
	return p
}

// chance is a source of its own, for whatever the process has at once.
func (p *process) chance() func() float64 {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(p.random.Uint64(), 3))
	return func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return random.Float64()
	}
}

// end ends a process where it stands.
func (s *simulation) end(p *process) {
	p.cancel()
	s.mu.Lock()
	s.waiting = slices.DeleteFunc(s.waiting, func(w *stand) bool {
		if w.process == p {
			w.on <- isKilled
		}
		return w.process == p
	})
	s.mu.Unlock()
	synctest.Wait()
}

// stands waits until the scheduler lets a process go on, or ctx ends.
func (s *simulation) stands(ctx context.Context, p *process, what, key string) stepping {
	w := &stand{process: p, what: what, key: key, on: make(chan stepping, 1)}
	s.mu.Lock()
	if p.ctx.Err() != nil {
		s.mu.Unlock()
		return isKilled
	}
	s.waiting = append(s.waiting, w)
	s.mu.Unlock()
	select {
	case how := <-w.on:
		return how
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		s.waiting = slices.DeleteFunc(s.waiting, func(other *stand) bool { return other == w })
		return fails
	}
}

// step lets the scheduler choose who goes on.
func (s *simulation) step(p *process, what string) {
	if s.stands(p.ctx, p, what, "") == isKilled || p.ctx.Err() != nil {
		panic(killed{})
	}
}

func (s *simulation) sleep(p *process, d time.Duration) {
	select {
	case <-time.After(d):
	case <-p.ctx.Done():
	}
	s.step(p, "awake")
}

// fails notes what must not be.
func (s *simulation) fails(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed(format, args...)
}

// failed is fails with the lock held.
func (s *simulation) failed(format string, args ...any) {
	if s.fault == nil {
		s.fault = fmt.Errorf(format, args...)
	}
}

// schedule lets one go on after the other until nothing is left to do.
func (s *simulation) schedule() error {
	const most = 200_000
	chaos := 200 + s.random.IntN(1500)
	for step := range most {
		synctest.Wait() // all stand, or sleep
		s.trouble.Steps++
		s.calm = step > chaos
		if s.fault != nil {
			return s.fault
		}
		if s.calm && s.done() {
			return nil
		}
		if !s.calm && s.random.IntN(60) == 0 {
			s.kill()
		}
		if s.random.IntN(s.slowness) == 0 {
			time.Sleep(time.Duration(s.random.IntN(1500)) * time.Millisecond)
			continue
		}
		s.letReadersGo()
		w := s.pick(false)
		if w == nil {
			time.Sleep(time.Duration(1+s.random.IntN(100)) * time.Millisecond) // until somebody wakes
			continue
		}
		if s.heldUp(w, s.random) {
			w.until = time.Now().Add(s.holdUp(s.random))
		} else {
			s.letGo(w, s.random)
		}
	}
	return errors.New("it never came to rest")
}

// letReadersGo lets readers take a few steps. They write nothing, so nobody else
// is the wiser.
func (s *simulation) letReadersGo() {
	for range s.readers.IntN(4) {
		if w := s.pick(true); w == nil {
			return
		} else if s.heldUp(w, s.readers) {
			w.until = time.Now().Add(s.holdUp(s.readers))
		} else {
			s.letGo(w, s.readers)
			synctest.Wait()
		}
	}
}

func (s *simulation) letGo(w *stand, random *rand.Rand) {
	s.mu.Lock()
	s.waiting = slices.DeleteFunc(s.waiting, func(other *stand) bool { return other == w })
	s.mu.Unlock()
	w.on <- s.how(w, random)
}

// how chooses how a step goes on.
func (s *simulation) how(w *stand, random *rand.Rand) stepping {
	switch {
	case s.calm || w.key == "":
	case w.what == answer && random.IntN(12) == 0:
		s.trouble.Ambiguous++
		return fails
	case w.what != answer && random.IntN(40) == 0:
		return fails
	}
	return goes
}

// heldUp reports whether a process is held up now: most often where it matters,
// between a read and the commit that follows from it, and inside a job.
func (s *simulation) heldUp(w *stand, random *rand.Rand) bool {
	switch {
	case w.what == "Commit" || w.what == "BatchWrite":
		return random.IntN(8) == 0
	case w.role == "rewriter" && w.what == "Get":
		return random.IntN(8) == 0
	}
	return !s.calm && random.IntN(25) == 0
}

// holdUp is for how long a process does not go on: longer than its deadline,
// perhaps, and than its lease.
func (s *simulation) holdUp(random *rand.Rand) time.Duration {
	most := []int{2_000, 15_000, 60_000}[random.IntN(3)]
	return time.Duration(random.IntN(most)) * time.Millisecond
}

// pick chooses one, a reader or somebody else, that is not held up; nil if there
// is none.
func (s *simulation) pick(reader bool) *stand {
	s.mu.Lock()
	defer s.mu.Unlock()
	ready := slices.DeleteFunc(slices.Clone(s.waiting), func(w *stand) bool {
		return w.until.After(time.Now()) || (w.role == "reader") != reader
	})
	if len(ready) == 0 {
		return nil
	}
	slices.SortFunc(ready, func(a, b *stand) int { // whichever came first
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.what, b.what), cmp.Compare(a.key, b.key))
	})
	if reader {
		return ready[s.readers.IntN(len(ready))]
	}
	return ready[s.random.IntN(len(ready))]
}

// kill ends a process where it stands, and starts another one in its place.
func (s *simulation) kill() {
	i := s.random.IntN(len(s.processes))
	p := s.processes[i]
	s.trouble.Kills++
	if p.unacked {
		s.trouble.KilledUnacked++
	}
	if s.hasJob(p) {
		s.trouble.KilledRewriter++
	}
	s.end(p)
	for _, m := range s.messages {
		if m.holder == p {
			m.holder = nil // its lease ends, some time
		}
	}
	s.processes[i] = s.spawn(p.role, p.body)
	synctest.Wait()
}

func (s *simulation) hasJob(p *process) bool {
	return p.role == "rewriter" && slices.ContainsFunc(s.moves(), func(m registry.LedgerEntry) bool {
		return m.Rewriting.State == registry.RewritingRunning && m.Rewriting.Holder == p.name
	})
}

func (s *simulation) moves() []registry.LedgerEntry {
	moves, err := s.truth.Moves(context.Background())
	if err != nil {
		s.fails("list moves: %w", err)
	}
	return moves
}

// done reports whether all messages are settled, all retractions made, and all
// documents rewritten.
func (s *simulation) done() bool {
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
	return !slices.ContainsFunc(s.moves(), func(m registry.LedgerEntry) bool { return m.Rewriting.Pending() })
}
