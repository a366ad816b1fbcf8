package quota

import (
	"errors"
	"math"
	"time"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// call is the next call of the store.
type call struct {
	kind   callKind
	part   int32          // of which part's document; 0: of the window's own
	units  int32          // reserve, release: how many
	aside  int64          // reserve: how many are also set aside for parts
	blind  bool           // reserve: of others the process knows nothing yet
	until  instant        // pause
	window limits.Window  // reserve, release: to write
	since  limits.Version // reserve, release: the version that the document must still have
}

type callKind int

const (
	nothing callKind = iota
	load
	reserve
	release
	pause // no call yet: others write first
	again // no call: the requests that wait can be answered
)

// A process that is the first of a window, as far as it knows, may be one of many
// that begin it at once: then the document has a queue, and who is far behind in it
// does better to look at what the first has written. So it waits for no more than
// leastQueue, or queueCalls times as long as the read before has taken, unless the
// units that are lost if it was written after all are more than one in mostBlind of
// the window.
const (
	leastQueue = 250 * time.Millisecond
	queueCalls = 8
	mostBlind  = 100
)

// queued reports whether a call has waited for its document for too long.
func (c call) queued(a answer) bool { return c.blind && a.late }

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
	blind := b.count == 0 && units <= w.Limit/mostBlind
	return call{kind: reserve, units: int32(units), blind: blind, window: w, since: b.version}
}

// nextRelease takes the block out of use, and returns the call that releases it;
// nothing if there is nothing to release, or if the window is about to end, which
// is cheaper.
func (b *block) nextRelease(now instant) call {
	const tooLate = instant(time.Second)
	if b.left <= 0 || now >= b.deadline-tooLate || b.count == math.MaxInt32 {
		return call{}
	}
	c := b.releaseToPart(now)
	if c.kind == nothing {
		if b.version == 0 {
			return call{kind: load}
		}
		w := b.window()
		w.Count -= int64(b.left)
		w.Sharing = onlyWriter
		if b.shared != nil {
			w.Sharing = b.written(now)
		}
		c = call{kind: release, units: b.left, window: w, since: b.version}
	}
	if c.kind == load {
		return c
	}
	b.left, b.size = 0, 0
	return c
}

// answer is the store's answer to a call.
type answer struct {
	sent     instant // before the call
	snapshot limits.Snapshot
	receipt  limits.Receipt
	err      error
	late     bool // it failed, and had all its time
}

// answered applies the answer to a call. It returns the units that were reserved,
// or perhaps reserved, and that can no longer be spent.
func (b *block) answered(now instant, c call, a answer, p limits.Policy) (stranded int32) {
	switch conflict := errors.Is(a.err, limits.ErrConflict); {
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
	if c.queued(a) {
		b.lose()
	}
	// Written or not: a reservation counts as not obtained, a release is never
	// repeated (design §7, rule 5).
	b.version = 0
	return c.units
}

// loaded applies a read that was sent at `sent`. A block of another window is
// dropped (design §7, rule 3): the units are returned.
func (b *block) loaded(sent, now instant, s limits.Snapshot, p limits.Policy) (stranded int32) {
	w := s.Window.At(s.ReadTime, p)
	end := sent + instant(w.Left(s.ReadTime))
	changed := w.ID() != b.window().ID()
	if changed {
		stranded = b.left
		b.left, b.size, b.deadline = 0, 0, 0
	}
	b.share(sent, now, s, w, changed)
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
func (b *block) reserved(sent, now instant, c call, r limits.Receipt) (stranded int32) {
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
// the time in its answer. So the window is not over at `end` by any of the answers,
// and the latest of them holds.
func (b *block) extend(end instant) { b.deadline = max(b.deadline, end) }

// released applies the receipt of a release.
func (b *block) released(now instant, c call, r limits.Receipt) {
	if b.version != c.since {
		return
	}
	b.count = int32(c.window.Count)
	b.version, b.seen = r.Version, now
	if b.shared != nil {
		b.shared.wrote(c.window.Sharing, now)
	}
}

// restore puts the units of a release back into use if it was certainly not
// written.
func (b *block) restore(c call) (stranded int32) {
	if b.version != c.since {
		return c.units
	}
	b.left += c.units
	b.size = b.left
	b.version = 0
	return 0
}
