package quota

import (
	"math"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// instant is local monotonic time, in nanoseconds since some moment of this
// process. It is never compared with the store's time; the two meet in
// differences only (design §7, rule 3).
type instant int64

// block is what this process knows of one key's window, and the units that it holds
// of it. It is pure: every method gets the time, and the store's answers, as
// arguments. The zero block knows nothing.
//
// The store's answers are applied in the order in which its calls were made, one
// call at a time: load, reserve and release are the steps of a flight.
type block struct {
	lastReset  float64
	generation int64
	version    limits.Version // of the document; 0: not known, so that it must be read
	deadline   instant        // the window may be over from here on: nothing is spent
	seen       instant        // when the store last answered
	length     int32          // of the window, in seconds
	limit      int32          // of the window
	count      int32          // as the store has it, with what this process holds
	left       int32          // units of the block that are not spent yet
	size       int32          // left, as it was after the last answer
	want       int32          // units that this process spends in a second
	shared     *shared        // what is known of others that use the window; nil: none do
}

// reply is a block's answer to a request.
type reply int

const (
	granted   reply = iota // spent; goes on at once
	full                   // the window has not so many units, as the store last had it
	stale                  // full, but it is time to look again
	contended              // too many processes write the document to reserve of it now
	unknown                // the store must be asked
)

// has reports whether the block holds n units that may be spent.
func (b *block) has(now instant, n int32) bool { return now < b.deadline && b.left >= n }

// spend takes n units of the block, or returns why it cannot.
func (b *block) spend(now instant, n int32) reply {
	switch {
	case now >= b.deadline:
		return unknown
	case b.left >= n:
		b.left -= n
		return granted
	case b.unspent() >= int64(n) && b.shared != nil && now < b.shared.refusing:
		return contended
	case b.unspent() >= int64(n):
		return unknown
	case now-b.seen >= b.recheckAfter():
		return stale
	}
	return full
}

// recheckAfter is how long a refusal is remembered before the store is looked at
// again: others may release units. Thirty looks in a window at most, and four if
// so many processes share it that one of them always looks.
func (b *block) recheckAfter() instant {
	window := instant(b.length) * instant(time.Second)
	after := max(instant(time.Second), window/30)
	if b.shared != nil && crowdOf(b.shared.Sharing) > fewTogether {
		after = max(after, window/4)
	}
	return after
}

// unspent returns the block, and the units that are not reserved, as of the store's
// last answer, of the window itself and of the part that this process uses.
func (b *block) unspent() int64 {
	units := int64(b.left) + max(0, int64(b.limit)-int64(b.count))
	if b.shared != nil {
		units += b.shared.part.free(b.shared.Sharing)
	}
	return units
}

func (b *block) window() limits.Window {
	return limits.Window{
		LastReset:  b.lastReset,
		Length:     time.Duration(b.length) * time.Second,
		Limit:      int64(b.limit),
		Count:      int64(b.count),
		Generation: b.generation,
	}
}

func (b *block) decision(now instant, v reply) (d Decision) {
	b.describe(&d, now, v)
	return d
}

// describe is decision, into a zero one: the copies of it would be a tenth of a request.
func (b *block) describe(d *Decision, now instant, v reply) {
	d.Allowed = v == granted
	d.Limit = int64(b.limit)
	d.Remaining = b.unspent()
	d.ResetAfter = max(0, time.Duration(b.deadline-now))
	switch {
	case v == contended:
		d.Contended = true
		d.RetryAfter = min(max(time.Duration(b.shared.refusing-now), leastRetryAfter), MostRetryAfter, max(leastRetryAfter, d.ResetAfter))
	case !d.Allowed:
		d.RetryAfter = d.ResetAfter
	}
	d.Length = time.Duration(b.length) * time.Second
	d.Window.LastReset = b.lastReset
	d.Window.Length = d.Length
	d.Window.Generation = b.generation
}

// adapt learns the demand, when a block is used up: a block should last for a
// second. It at most doubles, so that a pair of requests does not reserve what a
// thousand would need, and at most halves, so that a pause does not begin the
// learning anew.
func (b *block) adapt(now instant) {
	used := float64(b.size - b.left)
	elapsed := max(time.Duration(now-b.seen).Seconds(), 0.001)
	wanted := min(used/elapsed, float64(2*max(int64(b.want), int64(b.size))))
	b.want = int32(min(max(1, math.Ceil(wanted), float64(b.want/2)), MaxLimit))
	b.size = b.left // counted once
}

// refund puts units back into use that a request has spent and did not need. If
// they are of another window, it returns them.
func (b *block) refund(w WindowID, n int32) (stranded int32) {
	if b.window().ID() != w {
		return n
	}
	b.left += n
	return 0
}

// forget drops the block: an operator has reset the window.
func (b *block) forget() (stranded int32) {
	stranded = b.left
	*b = block{want: b.want, seen: b.seen}
	return stranded
}

// blockUnits returns how many units a process reserves whose first request waits
// for `first` units, that wants `want` in all, and that holds `held` of the
// window's unspent `unspent` units: at most a quarter of what is unspent, unless
// the first request alone needs more (design §7). It is at least one.
func blockUnits(first, want, held, unspent int64) int64 {
	most := max(first, unspent/4)
	return max(1, min(want, most)-held)
}
