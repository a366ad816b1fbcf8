// Package simulation runs many processes in one, under a seeded scheduler, and
// checks what they do against rules that are written independently. It is for
// proofs. There are two worlds. In one, workers, rewriters, an operator, create
// flows that claim, and verifiers with their caches and watches are checked against
// the fold in internal/reference. In the other, transports with their throttles, an
// operator who resets, and policies that change are checked against the windows as
// they are stored.
//
// The code that runs is what ships: the stores over a document database in memory
// (internal/regstore, internal/quotastore, internal/docdb/memdb), packages rewrite,
// verifier and quota, package handlers' reduction. Only the loop that takes and
// settles messages is the simulation's own. Each process reaches the database
// through a gate. Every call stops there before it is made, and every write again
// before its answer is delivered. The scheduler alone decides which process goes on,
// while everything else stands still. At any of these points it may let others go
// first, move the clock, deliver messages again, fail a call, lose an answer after a
// commit, hold a call up, stop a whole process for an hour, or kill it. Calls that a
// killed process has not sent by then are never made, and the process that replaces
// it knows nothing of it.
//
// The clock is that of a testing/synctest bubble. The database's own clock is offset
// from it, and so is the clock by which each process writes. Everything else that a
// process does with its clock is differences.
//
// A Plan determines the run: the same plan makes the same steps. Readers draw random
// numbers of their own, so that what they do changes nothing for the others. Two runs
// may differ only in which of several timers of one moment, cases of one select, or
// goroutines of one process comes first, and in when a throttle looks at an idle
// block, which depends on a hash.
package simulation

import (
	"fmt"
	mathrand "math/rand"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/docdb/docdbtest"
	"github.com/northstar-engines/realtime-registry/internal/docdb/memdb"
)

// oneAtATime: packages that wait by chance take it from math/rand's only source.
var oneAtATime sync.Mutex

// Run runs a plan to quiescence, in a bubble. The error says what did not hold.
func Run(t *testing.T, plan Plan) (met Trouble, err error) {
	oneAtATime.Lock()
	defer oneAtATime.Unlock()
	s := newSimulation(plan)
	synctest.Test(t, func(*testing.T) { err = s.run() })
	if err != nil {
		err = &Failure{Plan: plan, Err: err, events: s.world.events()}
	}
	return s.trouble, err
}

// world is what runs, and what is held against it.
type world interface {
	// start makes what there is to do, and starts the processes.
	start() error
	// call makes a call of the database for a process.
	call(p *process, c *docdbtest.Call, do func() error) error
	// wrote is called after a write that was made.
	wrote(p *process, c *docdbtest.Call)
	// lost is called if a process is not told of its last write.
	lost(p *process)
	// mildness is what may befall processes.
	mildness() mildness
	// kills is called before a process ends where it stands.
	kills(p *process)
	// done reports whether nothing is left to do.
	done() bool
	// check holds what is left against the rules.
	check() error
	// events lists what there was to do.
	events() []string
	// parts names what the plan may leave out, beside processes.
	parts() []string
}

type simulation struct {
	plan    Plan
	world   world
	random  *rand.Rand
	readers *rand.Rand
	db      *memdb.DB
	ahead   time.Duration // how much the database's clock is ahead
	trouble Trouble

	processes []*process
	started   int
	slowness  int // how many steps it takes until the clock moves

	mu      sync.Mutex
	waiting []*stand
	calm    bool // no more trouble: what is left is to end
	fault   error
}

func newSimulation(plan Plan) *simulation {
	//lint:ignore SA1019 it is the source of the waits of packages that have no other
	mathrand.Seed(int64(plan.Seed))
	s := &simulation{
		plan:    plan,
		random:  rand.New(rand.NewPCG(plan.schedule(), 1)),
		readers: rand.New(rand.NewPCG(plan.schedule(), 4)),
		trouble: Trouble{},
	}
	s.slowness = []int{4, 30, 200}[s.random.IntN(3)]
	if plan.Throttle {
		s.world = newThrottleWorld(s)
	} else {
		s.world = newRegistryWorld(s)
	}
	return s
}

func (s *simulation) run() error {
	s.ahead = s.clockApart()
	s.db = memdb.New(s.now)
	if err := s.world.start(); err != nil {
		return err
	}
	err := s.schedule()
	s.mu.Lock()
	s.calm = true
	s.mu.Unlock()
	for _, p := range s.processes {
		s.end(p)
	}
	time.Sleep(time.Minute) // what waits for something in vain gives up
	if err == nil {
		err = s.world.check()
	}
	return err
}

// now is the time by the database's clock.
func (s *simulation) now() time.Time { return time.Now().Add(s.ahead) }

// clockApart is how much the database's clock is ahead of those of processes.
func (s *simulation) clockApart() time.Duration {
	apart := []time.Duration{0, 3 * time.Hour, -3 * time.Hour, 400 * 24 * time.Hour}[s.random.IntN(4)]
	if apart == 0 || s.plan.without(Clocks) {
		return 0
	}
	s.met(Clocks)
	return apart + time.Duration(s.random.Int64N(int64(time.Hour)))
}

// isCalm reports whether there is no more trouble.
func (s *simulation) isCalm() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calm
}

// met counts a kind of trouble.
func (s *simulation) met(kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble[kind]++
}

// fails notes what must not be.
func (s *simulation) fails(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failsLocked(format, args...)
}

func (s *simulation) failsLocked(format string, args ...any) {
	if s.fault == nil {
		s.fault = fmt.Errorf(format, args...)
	}
}

// notes tells who traces the plan of a step.
func (s *simulation) notes(format string, args ...any) {
	if s.plan.Trace == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan.Trace(fmt.Sprintf("%10.3f  %s", time.Since(began).Seconds(), fmt.Sprintf(format, args...)))
}

// began is when the clock of a bubble begins.
var began = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
