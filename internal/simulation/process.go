package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing/synctest"
	"time"
)

// process is one process of the simulation, with all its goroutines.
type process struct {
	role   string
	name   string // its role, and a number
	number int
	slot   int // its place among the processes
	body   func(*process)
	random *rand.Rand
	ctx    context.Context
	cancel context.CancelFunc
	ahead  time.Duration // how much its clock is ahead of the others'
	until  time.Time     // stopped

	registryProcess
	throttleProcess
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

// add starts a process in the next place, unless the plan leaves it out.
func (s *simulation) add(role string, body func(*process)) {
	slot := len(s.processes)
	if s.plan.without(place(role, slot)) {
		s.processes = append(s.processes, nil)
		return
	}
	s.processes = append(s.processes, s.spawn(slot, role, body))
}

func place(role string, slot int) string { return fmt.Sprintf("%s %d", role, slot) }

func (s *simulation) spawn(slot int, role string, body func(*process)) *process {
	s.started++
	p := &process{
		role: role, name: fmt.Sprintf("%s-%d", role, s.started), number: s.started, slot: slot, body: body,
		random: rand.New(rand.NewPCG(s.random.Uint64(), 2)),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	go func() {
		defer func() {
			if r := recover(); r != nil && r != (killed{}) {
				panic(r)
			}
		}()
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
	if p == nil {
		return
	}
	s.mu.Lock()
	p.cancel()
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
		if p.ctx.Err() != nil {
			return isKilled
		}
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
