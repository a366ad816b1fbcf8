package quota

import (
	"math"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// Who of a crowd writes its document next is left to chance.
const (
	// fewTogether processes wait for one another's writes. More would wait for
	// longer than a second: all but a few refuse what they have no units for.
	fewTogether = 5
	// alone is how many processes write a document that no turns are drawn for.
	alone = 3
	// unknownCrowd is how many there may be of whom nothing is known: a race was
	// lost, or the window has just begun.
	unknownCrowd = mostParts
	// recent is how old a read may be when a turn comes. What was written since an
	// older one makes the write fail.
	recent = instant(10 * time.Millisecond)
)

// takeTurns is nothing if this process may write the document now, after a read
// that is fresh.
func (b *block) takeTurns(now instant, chance float64) call {
	s := b.shared
	many := crowdOf(s.Sharing) > fewTogether
	if s.lost && many && b.aside(b.written(now)) == (limits.Sharing{}) {
		b.refuse(now, chance) // and others have not made parts either
		return call{kind: again}
	}
	if c := b.awaitTurn(now, chance); c.kind != nothing {
		return c
	}
	switch wait := instant(untilWrite(s.Sharing, b.length, b.passed(now))); {
	case wait > 0 && many:
		b.refuse(now, chance)
		return call{kind: again}
	case wait > 0:
		return call{kind: pause, until: now + min(wait, 2*fresh)} // others may part the window
	}
	return call{}
}

// awaitTurn is nothing if it is this process's turn, and if the document was read
// since. A process that has written nothing of the window yet draws anew when it
// sees that another has: as long as there are no parts, that write has helped
// nobody else, and the turns of all the others would come ever closer together.
func (b *block) awaitTurn(now instant, chance float64) call {
	s := b.shared
	anew := s.drawn != b.version && !s.counted && crowdOf(s.Sharing) <= fewTogether
	if s.turn == 0 || anew {
		crowd := b.expected(now)
		if crowd <= alone {
			return call{}
		}
		s.turn, s.drawn = now+instant(turn(crowd, time.Duration(s.took), chance)), b.version
	}
	look := s.read + fresh + 1
	if number, _ := parts(b.unspent()); number == 0 {
		look += fresh // what others write helps this process only if it makes parts
	}
	switch {
	case now < s.turn:
		return call{kind: pause, until: min(s.turn, look)}
	case s.turn-s.read > recent:
		return call{kind: load}
	}
	return call{}
}

// expected returns how many processes may want to write the document at once: as
// many as it says, and more if that is not known yet. After a lost race there may
// be any number. If the process knows nothing of the window before, it takes those
// that have written for the first of many: as many more are to come in the
// window's first second as have come so far.
func (b *block) expected(now instant) int64 {
	s := b.shared
	crowd := crowdOf(s.Sharing)
	switch {
	case crowd == 0: // the others are of an older release, and say nothing
		return 0
	case s.lost:
		return max(crowd, unknownCrowd)
	case s.cold && !s.counted:
		coming := float64(s.Processes) / max(b.passed(now), time.Millisecond).Seconds()
		return max(crowd, int64(min(coming, unknownCrowd)))
	}
	return crowd
}

// passed is how much of the window has passed, at the least.
func (b *block) passed(now instant) time.Duration {
	return time.Duration(b.length)*time.Second - time.Duration(b.deadline-now)
}

// turnWithin is how long at most a process of a crowd waits before it writes, if
// the store is near. What one has written the others see after a write and a read:
// if a call takes long, the turns are as much further apart, up to mostTurn.
const (
	turnWithin = 150 * time.Millisecond
	turnCalls  = 7
	mostTurn   = 700 * time.Millisecond
)

// turn draws how long a process of a crowd waits before it writes, so that about
// one of them writes at once, a few soon after, and most of them only if nobody
// has: by then they have seen that one has. A call of the store takes so long;
// chance is uniform in [0, 1). It is the suppression of feedback in groups, RFC 5401
// §4.
func turn(crowd int64, call time.Duration, chance float64) time.Duration {
	within := min(max(turnWithin, turnCalls*call), mostTurn)
	wait := 1 + math.Log(1-chance)/math.Log(float64(max(2, crowd)))
	return time.Duration(max(0, wait) * float64(within))
}
