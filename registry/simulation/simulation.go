// Package simulation runs workers, rewriters, an operator, create flows that
// claim, and a caching reader in one process, under a scheduler with a seed, and
// holds what comes out against the independent fold in internal/reference. It is
// for proofs.
//
// Each process is a coroutine that stops before every access to what all of them
// share (package memory). The scheduler alone decides who goes on: it lets
// others go first, moves the clock, delivers messages again, loses answers after
// commits, and kills processes at any of these points; a process that comes
// after a killed one knows nothing of it. The code that runs is the registry's
// own: registry.Record.Update, package memory's optimistic commits with ledgers
// that are up to 5 s old and deadlines of 10 s, package rewrite, package
// handlers' reduction. Only the loop that takes and settles messages is the
// simulation's.
//
// A seed makes the run: the same seed, the same steps.
package simulation

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/internal/omit"
	"github.com/northstar-engines/realtime-registry/registry/memory"
)

// What the simulated processes rely on; a real one has the same relation.
const (
	ledgerStaleness = 5 * time.Second
	commitDeadline  = 10 * time.Second
	lease           = 30 * time.Second
)

// Run runs one seed to quiescence. The error says what did not hold.
func Run(seed uint64, rules omit.Rules) (Trouble, error) {
	s := &simulation{
		random: rand.New(rand.NewPCG(seed, 1)),
		rules:  rules,
		now:    time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC),
		ctx:    context.Background(),

		refused: map[registry.Change]bool{},
	}
	s.redeliver = s.random.IntN(2) == 0
	s.slowness = []int{4, 30, 200}[s.random.IntN(3)]
	s.store = memory.NewAt(func() time.Time { return s.now })
	s.makeEvents()
	s.start()
	err := s.schedule()
	for _, p := range s.processes {
		p.stop()
	}
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
	rules   omit.Rules
	now     time.Time
	ctx     context.Context
	store   *memory.Store
	trouble Trouble

	messages    []*message
	retractions []*retraction
	claims      []claim
	refused     map[registry.Change]bool // as history_full, once at least
	resources   []registry.Resource
	processes   []*process
	started     int
	slowness    int  // how many steps it takes until the clock moves
	redeliver   bool // messages that were settled come again, which repairs much
	calm        bool // no more kills and faults: what is left is to end
	fault       error
}

// process is a coroutine. Each call of next runs it to its next step.
type process struct {
	role  string
	name  string // its role, and a number
	next  func() (string, bool)
	stop  func()
	body  func(*process)
	yield func(string) bool
	store *memory.Store

	at      string    // the step before which it stands
	wakes   time.Time // asleep until
	unacked bool      // it has committed what is not acknowledged
}

// killed unwinds a coroutine that does not go on.
type killed struct{}

func (s *simulation) spawn(role string, body func(*process)) *process {
	s.started++
	p := &process{role: role, name: fmt.Sprintf("%s-%d", role, s.started), body: body}
	p.store = s.store.Open(memory.Options{
		LedgerStaleness: ledgerStaleness, CommitDeadline: commitDeadline, Omit: s.rules,
		Interrupt: func(step memory.Step) error { return s.interrupt(p, step) },
	})
	p.next, p.stop = iter.Pull(func(yield func(string) bool) {
		defer func() {
			if r := recover(); r != nil {
				if _, ok := r.(killed); !ok {
					panic(r)
				}
			}
		}()
		p.yield = yield
		body(p)
	})
	return p
}

// step lets the scheduler choose who goes on.
func (p *process) step(what string) {
	p.at = what
	if !p.yield(what) {
		panic(killed{})
	}
}

// interrupt is called before each step of a store's call.
func (s *simulation) interrupt(p *process, step memory.Step) error {
	if step == memory.LostRace {
		s.trouble.Conflicts++
		return nil
	}
	if step != memory.Answer || !s.calm {
		p.step(string(step))
	}
	switch {
	case s.calm:
	case step == memory.Answer && s.random.IntN(12) == 0:
		s.trouble.Ambiguous++
		return errors.New("the answer was lost")
	case step != memory.Answer && s.random.IntN(40) == 0:
		return errors.New("the store is down")
	}
	return nil
}

// sleep is for package rewrite.
func (s *simulation) sleep(p *process, d time.Duration) {
	p.wakes = s.now.Add(d)
	p.step("sleep")
	p.wakes = time.Time{}
}

// schedule runs processes until nothing is left to do.
func (s *simulation) schedule() error {
	const most = 200_000
	chaos := 200 + s.random.IntN(1500)
	for step := range most {
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
			s.now = s.now.Add(time.Duration(s.random.IntN(1500)) * time.Millisecond)
		}
		p := s.pick()
		if p == nil {
			continue
		}
		if s.heldUp(p) {
			p.wakes = s.now.Add(s.holdUp())
			continue
		}
		if _, ok := p.next(); !ok {
			return fmt.Errorf("process %s ended", p.name)
		}
	}
	return errors.New("it never came to rest")
}

// heldUp reports whether a process is held up now: most often where it matters,
// between a read and the commit that follows from it, and inside a job.
func (s *simulation) heldUp(p *process) bool {
	switch {
	case p.at == string(memory.Commit):
		return s.random.IntN(8) == 0
	case p.role == "rewriter" && p.at == string(memory.ReadRecord):
		return s.random.IntN(8) == 0
	}
	return !s.calm && s.random.IntN(25) == 0
}

// holdUp is for how long a process does not go on: longer than its deadline,
// perhaps, and than its lease.
func (s *simulation) holdUp() time.Duration {
	most := []int{2_000, 15_000, 60_000}[s.random.IntN(3)]
	return time.Duration(s.random.IntN(most)) * time.Millisecond
}

// pick chooses a process that is awake. If all sleep, the clock moves on to
// the first that wakes.
func (s *simulation) pick() *process {
	var awake []*process
	var first time.Time
	for _, p := range s.processes {
		switch {
		case !p.wakes.After(s.now):
			awake = append(awake, p)
		case first.IsZero() || p.wakes.Before(first):
			first = p.wakes
		}
	}
	if len(awake) == 0 {
		s.now = first
		return nil
	}
	return awake[s.random.IntN(len(awake))]
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
	p.stop()
	for _, m := range s.messages {
		if m.holder == p {
			m.holder = nil // its lease ends, some time
		}
	}
	s.processes[i] = s.spawn(p.role, p.body)
}

func (s *simulation) hasJob(p *process) bool {
	moves, _ := s.store.Moves(s.ctx)
	return slices.ContainsFunc(moves, func(m registry.LedgerEntry) bool {
		return m.Rewriting.State == registry.RewritingRunning && m.Rewriting.Holder == p.name
	})
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
	moves, _ := s.store.Moves(s.ctx)
	return !slices.ContainsFunc(moves, func(m registry.LedgerEntry) bool { return m.Rewriting.Pending() })
}
