package simulation

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"slices"
	"testing/synctest"
	"time"
)

const (
	// mostSteps is how many steps a run may take: it must come to rest.
	mostSteps = 200_000
	// leastChaos and mostChaos bound for how many of them there is trouble.
	leastChaos, mostChaos = 200, 1_700
)

// mildness is what may befall processes, and how many steps it takes on average.
type mildness struct {
	kill, stop int
	days       bool // one may be stopped for half a day
}

// schedule lets one go on after the other until nothing is left to do.
func (s *simulation) schedule() error {
	chaos := leastChaos + s.random.IntN(mostChaos-leastChaos)
	day := s.random.IntN(16 * chaos) // seldom within it: it takes long to simulate
	if s.plan.with(Away) {
		day %= chaos
	}
	for step := range mostSteps {
		synctest.Wait() // all stand, or sleep
		s.met(Steps)
		s.setCalm(step > cmp.Or(s.plan.Steps, chaos))
		if s.fault != nil {
			return s.fault
		}
		if s.calm && s.allGo() && s.world.done() {
			return nil
		}
		s.befall(step == day)
		if s.random.IntN(s.slowness) == 0 {
			time.Sleep(time.Duration(s.random.IntN(1500)) * time.Millisecond)
			continue
		}
		s.letReadersGo()
		w := s.pick(false)
		if w == nil {
			d := time.Duration(1+s.random.IntN(100)) * time.Millisecond // until some process wakes
			if s.calm {
				d *= 20
			}
			time.Sleep(d)
			continue
		}
		s.letGo(w, s.random)
	}
	return errors.New("it never came to rest")
}

func (s *simulation) setCalm(calm bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calm = calm
}

// befall lets trouble befall processes. Chances are taken whether or not the plan
// is without the trouble, so that the rest stays as it is.
func (s *simulation) befall(day bool) {
	if s.calm {
		return
	}
	mild := s.world.mildness()
	if s.random.IntN(mild.kill) == 0 {
		s.kill(s.processes[s.random.IntN(len(s.processes))])
	}
	if s.random.IntN(mild.stop) == 0 {
		s.stop(Stops, s.processes[s.random.IntN(len(s.processes))], time.Duration(1200+s.random.IntN(3600))*time.Second)
	}
	if s.random.IntN(100) == 0 {
		s.allGo()
	}
	if day && mild.days {
		p := s.processes[s.random.IntN(len(s.processes))]
		if s.random.IntN(2) == 0 { // a reader has most to forget
			p = s.first("reader")
		}
		d := 12*time.Hour + time.Duration(s.random.IntN(16))*time.Hour
		if s.plan.with(Away) {
			p, d = s.first("reader"), d+24*time.Hour
		}
		s.stop(Days, p, d)
	}
}

func (s *simulation) first(role string) *process {
	for _, p := range s.processes {
		if p != nil && p.role == role {
			return p
		}
	}
	return nil
}

// stop stops a process where it stands.
func (s *simulation) stop(kind string, p *process, d time.Duration) {
	if p == nil || s.plan.without(kind) {
		return
	}
	s.met(kind)
	s.notes("%s is stopped for %v", p.name, d)
	p.until = time.Now().Add(d)
}

// allGo lets time pass until no process is stopped, and reports whether none was.
func (s *simulation) allGo() bool {
	none := true
	for _, p := range s.processes {
		if p == nil || !p.until.After(time.Now()) {
			continue
		}
		none = false
		s.pass(time.Until(p.until))
		s.notes("%s goes on", p.name)
	}
	return none
}

// pass lets more time pass than any process waits for.
func (s *simulation) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
	s.expire()
}

// letReadersGo lets readers take a few steps. They write nothing, so it has no
// effect on others.
func (s *simulation) letReadersGo() {
	for range s.readers.IntN(4) {
		w := s.pick(true)
		if w == nil {
			return
		}
		s.letGo(w, s.readers)
		synctest.Wait()
	}
}

// letGo lets one go on, unless it is held up.
func (s *simulation) letGo(w *stand, random *rand.Rand) {
	if s.heldUp(w, random) {
		if d := s.holdUp(random); !s.plan.without(Delays) {
			s.met(Delays)
			s.notes("%s is held up for %v before %s %s", w.name, d, w.what, w.key)
			w.until = time.Now().Add(d)
			return
		}
	}
	s.mu.Lock()
	s.waiting = slices.DeleteFunc(s.waiting, func(other *stand) bool { return other == w })
	s.mu.Unlock()
	how := s.how(w, random)
	s.notes("%s %s %s%s", w.name, w.what, w.key, []string{"", ": fails", ""}[how])
	w.on <- how
}

// how chooses how a step goes on.
func (s *simulation) how(w *stand, random *rand.Rand) stepping {
	kind := ""
	switch {
	case s.calm || w.key == "":
	case w.what == answer && random.IntN(12) == 0:
		kind = Lost
	case w.what != answer && random.IntN(40) == 0:
		kind = Errors
	}
	if kind == "" || s.plan.without(kind) {
		return goes
	}
	if s.met(kind); kind == Lost {
		s.world.lost(w.process)
	}
	return fails
}

// heldUp reports whether a process is held up now: most often where it matters,
// between a read and the commit that follows from it, and inside a job.
func (s *simulation) heldUp(w *stand, random *rand.Rand) bool {
	switch {
	case w.what == "Commit" && s.plan.with(Slow):
		return random.IntN(2) == 0
	case w.what == "Commit" || w.what == "BatchWrite":
		return random.IntN(8) == 0
	case w.role == "rewriter" && w.what == "Get" || w.what == arrival:
		return random.IntN(8) == 0
	}
	return !s.calm && random.IntN(25) == 0
}

// holdUp is for how long a process does not go on: longer than its deadline,
// perhaps, and than its lease.
func (s *simulation) holdUp(random *rand.Rand) time.Duration {
	most := []int{2_000, 15_000, 60_000}[random.IntN(3)]
	if s.plan.with(Slow) {
		most = 60_000
	}
	return time.Duration(random.IntN(most)) * time.Millisecond
}

// pick chooses a process, a reader or another one, that is not held up; nil if
// there is none.
func (s *simulation) pick(reader bool) *stand {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	ready := slices.DeleteFunc(slices.Clone(s.waiting), func(w *stand) bool {
		return (w.role == "reader") != reader || w.until.After(now) || w.process.until.After(now)
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
func (s *simulation) kill(p *process) {
	if p == nil || s.plan.without(Kills) {
		return
	}
	s.met(Kills)
	s.notes("%s is killed", p.name)
	s.world.kills(p)
	s.restart(p)
}

// restart starts a process in the place of one that ends.
func (s *simulation) restart(p *process) {
	s.end(p)
	s.processes[p.slot] = s.spawn(p.slot, p.role, p.body)
	synctest.Wait()
}
