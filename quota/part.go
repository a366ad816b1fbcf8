package quota

import (
	"strconv"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// secondsOfPart is how long a block of a part should last on average: no process
// waits for what is set aside, so it may last longer than a block of the window
// itself. Each lasts between half and one and a half of that, by chance: otherwise
// processes that began together with the window would go on reserving together.
const secondsOfPart = 8

// lastParts is how many other parts are read before a request is refused.
const lastParts = 4

// part is the part of a shared window that a process reserves of: a document of
// its own, with the window's identity and a limit of its own. Its units are in the
// window's Count already.
type part struct {
	number  int32          // 1 to Parts; 0: none chosen yet
	version limits.Version // of its document; 0: not known, so that it must be read
	count   int32          // as its document has it
	tried   int32          // so many others were dry before, in this flight
	avoid   bool           // its document is of a window that the process does not know
	read    instant        // when its document was last read or written
	common  bool           // others reserve of it too, so that a version from a while ago is an old one
}

// partKey is the key of a part's document. No caller can ask for it, since it does
// not match ActionPattern.
func partKey(key limits.Key, number int32) limits.Key {
	return limits.Key{Tenant: key.Tenant, Action: key.Action + "." + strconv.Itoa(int(number))}
}

// free is what the part has left, as far as this process knows.
func (p part) free(s limits.Sharing) int64 {
	switch {
	case s.Parts == 0 || p.avoid:
		return 0
	case p.version == 0:
		return s.PartLimit
	}
	return max(0, s.PartLimit-int64(p.count))
}

// nextOfPart returns the next call to a part; none if no part serves.
func (b *block) nextOfPart(now instant, first, need int32, chance float64) call {
	s := b.shared
	p := &s.part
	if s.Parts == 0 || p.avoid {
		return call{}
	}
	if p.number == 0 || int64(p.number) > s.Parts {
		*p = part{number: drawPart(s.Parts, chance), common: p.common}
	}
	if p.version == 0 || p.common && now-p.read > fresh {
		return call{kind: load, part: p.number}
	}
	own, free := int64(b.left), p.free(s.Sharing)
	if free > 0 && (own+free >= int64(first) || b.unspent()-free < int64(first)) {
		want := max(int64(need), min(int64(float64(b.want)*secondsOfPart*(0.5+chance)), MaxLimit))
		units := min(free, blockUnits(int64(first), want, own, own+free))
		w := b.windowOfPart(int64(p.count) + units)
		return call{kind: reserve, part: p.number, units: int32(units), window: w, since: p.version}
	}
	others := int32(1)
	if b.unspent()-free < int64(first) {
		others = lastParts // the window itself has nothing either
	}
	if p.tried < min(others, int32(s.Parts)-1) {
		*p = part{number: drawPart(s.Parts, chance), tried: p.tried + 1}
		return call{kind: load, part: p.number}
	}
	return call{}
}

func drawPart(parts int64, chance float64) int32 { return 1 + int32(chance*float64(parts)) }

// releaseToPart is nextRelease to the part, which is read before that if others may
// have written it; nothing if it cannot be.
func (b *block) releaseToPart(now instant) call {
	s := b.shared
	switch {
	case s == nil || s.Parts == 0 || s.part.avoid || s.part.number == 0:
		return call{}
	case s.part.version == 0 || s.part.common && now-s.part.read > fresh:
		return call{kind: load, part: s.part.number}
	case s.part.count < b.left: // it is not of this part
		return call{}
	}
	w := b.windowOfPart(int64(s.part.count - b.left))
	return call{kind: release, part: s.part.number, units: b.left, window: w, since: s.part.version}
}

// windowOfPart returns the window for the part's document.
func (b *block) windowOfPart(count int64) limits.Window {
	w := b.window()
	w.Limit, w.Count = b.shared.PartLimit, count
	return w
}

// answeredOfPart is answered for a call that was about a part.
func (b *block) answeredOfPart(now instant, c call, a answer, conflict bool) (stranded int32) {
	s := b.shared
	known := s != nil && s.part.number == c.part && (c.kind == load || s.part.version == c.since && c.window.ID() == b.window().ID())
	switch {
	case !known && (c.kind == load || c.kind == reserve && conflict):
		return 0
	case !known: // the operator has reset the window meanwhile
		return c.units
	case a.err == nil && c.kind == load:
		b.loadedPart(now, a.snapshot)
	case a.err == nil && c.kind == reserve:
		b.extend(a.sent + instant(c.window.Left(a.receipt.CommitTime)))
		b.left += c.units
		b.size, b.seen = b.left, now
		s.part.count, s.part.version, s.part.tried, s.part.read = int32(c.window.Count), a.receipt.Version, 0, now
	case a.err == nil:
		s.part.count, s.part.version = int32(c.window.Count), a.receipt.Version
	case conflict && c.kind == release:
		b.left += c.units
		b.size = b.left
		s.part.version, s.part.common = 0, true
	case conflict: // the others of it go on: there are parts with fewer
		s.part = part{common: true}
	case c.kind == load:
		s.part.version = 0
	default: // as for the window itself (design §7, rule 5)
		s.part.version = 0
		return c.units
	}
	return 0
}

// loadedPart applies a read of the part's document. One of an earlier window has
// all its units. One of a later window shows that this process's window is over; it
// is left alone until the process knows the later one (design §7, rule 6).
func (b *block) loadedPart(now instant, s limits.Snapshot) {
	p := &b.shared.part
	p.common = p.common && p.version != s.Version
	p.version, p.count, p.read = s.Version, 0, now
	switch w := s.Window; {
	case w.LastReset == b.lastReset && w.Generation == b.generation:
		p.count = int32(min(max(0, w.Count), MaxLimit))
	case w.LastReset >= b.lastReset:
		p.avoid, p.version = true, 0
		b.version = 0
	}
}
