package quota

import (
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// course counts a flight's failures since its last write: a store that can be read
// but not written to does not help a request.
type course struct {
	pause    *backoff.ExponentialBackOff // before the next try
	trying   bool                        // a try has begun, and has not failed
	failures int                         // failed tries
	races    int                         // lost races
	since    instant                     // when the first of either was
	took     time.Duration               // the last read
	late     call                        // a reservation that had all its time, and no answer
}

// beginLocked begins a try if none has begun, or returns why there is none.
func (l *Limiter) beginLocked(s *shard, e *entry, c *course) error {
	if c.trying {
		return nil
	}
	now := l.clock()
	if own := s.failing[e]; own != nil && !own.take(now, keyTries, keyTriesPerSecond) {
		return l.budget.refusal()
	}
	if err := l.budget.admit(now); err != nil {
		return err
	}
	c.trying = true
	return nil
}

// succeedLocked forgets failures that a successful call has disproved. A process of a
// crowd that has waited in a document's queue has lost a race, and draws its turn anew.
func (l *Limiter) succeedLocked(s *shard, e *entry, c *course, made call, a answer) {
	l.budget.succeeded(made.kind)
	if made.kind == load {
		if !c.overtaken(made, a) || e.shared == nil || crowdOf(e.shared.Sharing) == 0 {
			return
		}
		l.budget.succeeded(c.late.kind)
		e.shared.lost, e.shared.turn = true, 0
	}
	*c = course{pause: c.pause}
	c.pause.Reset()
	delete(s.failing, e)
}

// overtaken reports whether a read shows that the document of a late reservation has
// been written since: the store takes writes, and this one was behind others in the
// document's queue.
func (c *course) overtaken(made call, a answer) bool {
	return c.late.kind == reserve && made.part == c.late.part && a.snapshot.Version != c.late.since
}

// failLocked counts a call that was not carried out, and returns how long to wait
// before the next try. enough is true if the requests have waited for three tries,
// or, if others were always quicker, as long as three tries may take.
func (l *Limiter) failLocked(s *shard, e *entry, c *course, made call, a answer) (pause time.Duration, enough bool) {
	now := l.clock()
	if c.failures+c.races == 0 {
		c.since = now
	}
	c.trying, c.late = false, call{}
	if a.late && made.kind == reserve {
		c.late = made
	}
	pause = c.pause.NextBackOff()
	crowded := made.kind != release && e.shared != nil && crowdOf(e.shared.Sharing) > 0
	race := errors.Is(a.err, limits.ErrConflict) || made.queued(a)
	if race {
		c.races++
	} else {
		c.failures++
	}
	if race && crowded {
		if enough := time.Duration(now-c.since)+pause >= patience; enough {
			e.refuse(now, l.chance(e, now))
			c.races = 0
		}
		return pause, false
	}
	if !race || c.races > patientRaces {
		l.budget.failed(now, made.kind, a.err)
		if s.failing[e] == nil {
			s.failing[e] = &tries{keyTries - 1, now}
		}
	}
	if race {
		return pause, time.Duration(now-c.since)+pause >= attempts*l.options.Timeout
	}
	return pause, c.failures == attempts
}
