// Package simulation runs workers, rewriters, an operator, create flows that
// claim, and verifiers with their caches and watches in one process, under a
// scheduler with a seed, and holds what comes out against the independent fold in
// internal/reference. It is for proofs.
//
// The code that runs is what ships: the store over a document database in memory
// (internal/regstore, internal/docdb/memdb), package rewrite, package
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
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/internal/regstore"
	"github.com/northstar-engines/realtime-registry/registry"
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
		refused: map[ownership.Change]bool{},
		owners:  map[registry.Resource][]owned{},
	}
	s.redeliver = s.random.IntN(2) == 0
	s.slowness = []int{4, 30, 200}[s.random.IntN(3)]
	truth, err := regstore.Open(context.Background(), s.db, regstore.Options{})
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
	truth   *regstore.Store // without a gate
	trouble Trouble

	messages    []*message
	retractions []*retraction
	claims      []claim
	refused     map[ownership.Change]bool // as history_full, once at least
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
	store  *regstore.Store
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
			p.store, _ = regstore.Open(p.ctx, s.gate(p), regstore.Options{LedgerRate: 1e6, Chance: p.chance()})
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
