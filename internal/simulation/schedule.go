package simulation

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing/synctest"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
)

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
	return p.role == "rewriter" && slices.ContainsFunc(s.moves(), func(m ownership.LedgerEntry) bool {
		return m.Rewriting.State == ownership.RewritingRunning && m.Rewriting.Holder == p.name
	})
}

func (s *simulation) moves() []ownership.LedgerEntry {
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
	return !slices.ContainsFunc(s.moves(), func(m ownership.LedgerEntry) bool { return m.Rewriting.Pending() })
}
