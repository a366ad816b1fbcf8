package quota

import (
	"errors"
	"math"
	"time"
)

// instant is local monotonic time, in nanoseconds since some moment of this
// process. It is never compared with the store's time; the two meet in
// differences only (design §7, rule 3).
type instant int64

// block is what this process knows of one key's window, and the units that it
// holds of it. It is pure: every method is told the time, and what the store
// has answered. The zero block knows nothing.
//
// The store's answers are applied in the order in which its calls were made,
// one call at a time: load, reserve and release are what flights do.
type block struct {
	lastReset  float64
	generation int64
	version    Version // of the document; 0: not known, so that it must be read
	deadline   instant // the window may be over from here on: nothing is spent
	seen       instant // when the store last answered
	length     int32   // of the window, in seconds
	limit      int32   // of the window
	count      int32   // as the store has it, with what this process holds
	left       int32   // units of the block that are not spent yet
	size       int32   // left, as it was after the last answer
	want       int32   // units that this process spends in a second
	shared     *shared // what is known of others that take of the window; nil: nobody
}

// verdict is what a block says to a request.
type verdict int

const (
	granted   verdict = iota // spent; goes on at once
	full                     // the window has not so many units, as the store last had it
	stale                    // full, but it is time to look again
	contended                // the document is written by too many to reserve of it now
	unknown                  // the store must be asked
)

// has reports whether the block holds n units that may be spent.
func (b *block) has(now instant, n int32) bool { return now < b.deadline && b.left >= n }

// grant spends n units that the block has.
func (b *block) grant(now instant, n int32) Decision {
	b.left -= n
	return b.decision(now, granted)
}

// spend takes n units of the block, or says why not.
func (b *block) spend(now instant, n int32) verdict {
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
	if b.shared != nil && b.shared.crowd() > fewTogether {
		after = max(after, window/4)
	}
	return after
}

// unspent is the block and what nobody has reserved, as the store last had it, of
// the window itself and of the part that this process is on.
func (b *block) unspent() int64 {
	units := int64(b.left) + max(0, int64(b.limit)-int64(b.count))
	if b.shared != nil {
		units += b.shared.part.free(b.shared.Sharing)
	}
	return units
}

func (b *block) window() Window {
	return Window{
		LastReset:  b.lastReset,
		Length:     time.Duration(b.length) * time.Second,
		Limit:      int64(b.limit),
		Count:      int64(b.count),
		Generation: b.generation,
	}
}

func (b *block) decision(now instant, v verdict) (d Decision) {
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
	return d
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

// call is what the store is to be asked next.
type call struct {
	kind   callKind
	part   int32   // of which part's document; 0: of the window's own
	units  int32   // reserve, release: how many
	aside  int64   // reserve: how many are put aside for parts besides
	until  instant // pause
	window Window  // reserve, release: to write
	since  Version // reserve, release: what the document must still be
}

type callKind int

const (
	nothing callKind = iota
	load
	reserve
	release
	pause // no call yet: others are to write first
	again // no call: the requests that wait can be answered
)

// nextFor returns the call that a request for `first` units needs, which spend
// has not decided; `need` is what all that wait need together.
//
// chance is uniform in [0, 1), and different each time.
func (b *block) nextFor(now instant, first, need int32, chance float64) call {
	if b.version == 0 || now >= b.deadline {
		return call{kind: load}
	}
	if b.shared != nil {
		return b.nextShared(now, first, need, chance)
	}
	if b.unspent() < int64(first) {
		return call{kind: load}
	}
	units := blockUnits(int64(first), int64(max(need, b.want)), int64(b.left), b.unspent())
	w := b.window()
	w.Count += units
	w.Sharing = onlyWriter
	return call{kind: reserve, units: int32(units), window: w, since: b.version}
}

// nextRelease takes the block out of use, and returns the call that releases it;
// nothing if there is nothing to release, or if the window is about to end, which
// is cheaper.
func (b *block) nextRelease(now instant) call {
	const tooLate = instant(time.Second)
	if b.left <= 0 || now >= b.deadline-tooLate || b.count == math.MaxInt32 {
		return call{}
	}
	c := b.releaseToPart()
	if c.kind == nothing {
		if b.version == 0 {
			return call{kind: load}
		}
		w := b.window()
		w.Count -= int64(b.left)
		w.Sharing = onlyWriter
		if b.shared != nil {
			w.Sharing = b.shared.written()
		}
		c = call{kind: release, units: b.left, window: w, since: b.version}
	}
	b.left, b.size = 0, 0
	return c
}

// answer is what the store said to a call.
type answer struct {
	sent     instant // before the call
	snapshot Snapshot
	receipt  Receipt
	err      error
}

// answered applies the answer to a call. It returns the units that were reserved,
// or perhaps reserved, and that nobody can spend any more.
func (b *block) answered(now instant, c call, a answer, p Policy) (stranded int32) {
	switch conflict := errors.Is(a.err, ErrConflict); {
	case c.part != 0:
		return b.answeredOfPart(now, c, a, conflict)
	case a.err == nil && c.kind == load:
		return b.loaded(a.sent, now, a.snapshot, p)
	case a.err == nil && c.kind == reserve:
		return b.reserved(a.sent, now, c, a.receipt)
	case a.err == nil:
		b.released(now, c, a.receipt)
		return 0
	case conflict && c.kind == release:
		return b.restore(c)
	case conflict:
		b.lose()
		return 0
	case c.kind == load:
		b.version = 0
		return 0
	}
	// Written or not: a reservation counts as not obtained, a release is never
	// repeated (design §7, rule 5).
	b.version = 0
	return c.units
}

// loaded applies a read that was sent at `sent`. A block of another window is
// dropped (design §7, rule 3): the units are returned.
func (b *block) loaded(sent, now instant, s Snapshot, p Policy) (stranded int32) {
	w := s.Window.At(s.ReadTime, p)
	end := sent + instant(w.Left(s.ReadTime))
	changed := w.ID() != b.window().ID()
	if changed {
		stranded = b.left
		b.left, b.size, b.deadline = 0, 0, 0
	}
	b.share(now, s, w, changed)
	b.lastReset, b.generation = w.LastReset, w.Generation
	b.length, b.limit = int32(w.Length/time.Second), int32(min(w.Limit, MaxLimit))
	b.count = int32(min(w.Count, math.MaxInt32))
	b.extend(end)
	b.version, b.seen = s.Version, now
	return stranded
}

// reserved applies the receipt of a reservation that was sent at `sent`, and
// returns the units that came too late to be of use: the operator has reset the
// window meanwhile.
func (b *block) reserved(sent, now instant, c call, r Receipt) (stranded int32) {
	if b.version != c.since {
		return c.units
	}
	b.extend(sent + instant(c.window.Left(r.CommitTime)))
	b.count = int32(c.window.Count)
	b.left += c.units
	b.size = b.left
	b.version, b.seen = r.Version, now
	if b.shared != nil {
		b.shared.wrote(c.window.Sharing, now)
	}
	return 0
}

// extend moves the deadline. At local time `sent` the store's clock was not past
// the time in its answer, so that the window is not over at `end` in any of the
// answers: the latest holds for all.
func (b *block) extend(end instant) { b.deadline = max(b.deadline, end) }

// released applies the receipt of a release.
func (b *block) released(now instant, c call, r Receipt) {
	if b.version != c.since {
		return
	}
	b.count = int32(c.window.Count)
	b.version, b.seen = r.Version, now
	if b.shared != nil {
		b.shared.wrote(c.window.Sharing, now)
	}
}

// restore takes the units of a release that was certainly not written into use
// again.
func (b *block) restore(c call) (stranded int32) {
	if b.version != c.since {
		return c.units
	}
	b.left += c.units
	b.size = b.left
	b.version = 0
	return 0
}

// refund takes units into use again that a request has spent and did not need. It
// returns them if they are of another window.
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
