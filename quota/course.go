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

// succeedLocked forgets failures that a successful call has disproved.
func (l *Limiter) succeedLocked(s *shard, e *entry, c *course, made call) {
	l.budget.succeeded(made.kind)
	if made.kind != load {
		*c = course{pause: c.pause}
		c.pause.Reset()
		delete(s.failing, e)
	}
}

// failLocked counts a call that was not carried out, and returns how long to wait
// before the next try. enough is true if the requests have waited for three tries,
// or, if others were always quicker, as long as three tries may take.
func (l *Limiter) failLocked(s *shard, e *entry, c *course, made call, a answer) (pause time.Duration, enough bool) {
	now := l.clock()
	if c.failures+c.races == 0 {
		c.since = now
	}
	c.trying = false
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
