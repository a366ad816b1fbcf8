package quota

import (
	"time"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// shared is what a process knows of a window that other processes use too.
type shared struct {
	limits.Sharing
	begin   limits.Sharing // what a window begins with that has not begun yet
	part    part
	read    instant        // when the document was last read
	took    instant        // that read
	turn    instant        // when this process may write it; 0: not drawn
	drawn   limits.Version // of the document when the turn was drawn
	rolls   bool           // the window begins with the next write
	counted bool           // this process is among Processes
	lost    bool           // a race, since the last write
	cold    bool           // this process knows nothing of the window before

	refusing instant // requests for more than the block are refused until then
	patience instant // for how long they will be the next time
}

// How a process behaves in a crowd.
const (
	// fresh is how old a read may be for a write of a shared document: with an
	// older one the write would lose the race.
	fresh = instant(50 * time.Millisecond)
	// A process that has met a document which may not be written, or a faster one,
	// looks at it again after leastPatience, then after twice that, and so on.
	leastPatience = instant(250 * time.Millisecond)
	mostPatience  = instant(8 * time.Second)
)

// nextShared is nextFor if others take of the window too: from a part if there are
// parts, else from the document itself, but no faster than it says.
func (b *block) nextShared(now instant, first, need int32, chance float64) call {
	s := b.shared
	if c := b.nextOfPart(now, first, need, chance); c.kind != nothing {
		return c
	}
	if now-s.read > fresh {
		return call{kind: load}
	}
	if b.unspent()-s.part.free(s.Sharing) < int64(first) {
		return call{kind: again} // a later request has spent what it counted on
	}
	if c := b.takeTurns(now, chance); c.kind != nothing {
		return c
	}
	return b.reserveShared(now, first, need)
}

// reserveShared reserves of the document itself. If more processes want to write it
// than may, it also sets units aside for parts.
func (b *block) reserveShared(now instant, first, need int32) call {
	s := b.shared
	w := b.window()
	w.Sharing = b.written(now)
	free := b.unspent() - s.part.free(s.Sharing) // and what this process holds
	aside := int64(0)
	if more := b.aside(w.Sharing); free-more.Parts*more.PartLimit >= int64(first) {
		aside = more.Parts * more.PartLimit
		if more.Parts > 0 {
			w.Sharing.Parts = more.Parts
			w.Sharing.PartLimit += more.PartLimit
			w.Sharing.Parted = max(w.Sharing.Parted, more.Parted)
		}
	}
	want := max(int64(need), min(int64(b.want)*max(1, crowdOf(s.Sharing)), MaxLimit)) // until its turn comes again
	units := blockUnits(int64(first), want, int64(b.left), free-aside)
	w.Count += units + aside
	return call{kind: reserve, units: int32(units), aside: aside, window: w, since: b.version}
}

// aside returns the parts, and how much more for each of them, that units are put
// aside for by the write that leaves the document with w; zero if by none.
func (b *block) aside(w limits.Sharing) limits.Sharing {
	s := b.shared
	free := b.unspent() - s.part.free(s.Sharing)
	switch {
	case s.begin.Parts > 0:
		return limits.Sharing{Parts: s.begin.Parts, PartLimit: s.begin.PartLimit, Parted: s.begin.Parted}
	case w.Parts > 0:
		if more := free / 4 / w.Parts; more >= leastOfPart {
			return limits.Sharing{Parts: w.Parts, PartLimit: more}
		}
		return limits.Sharing{} // with another number of parts, what is in some could not be found
	}
	number, limit := parts(free)
	short := untilWrite(w, b.length, b.passed(s.read)) > 0 // the next write would have to wait
	if w.Processes > fewTogether || w.Processes > alone && (s.lost || limit >= plenty) || w.Processes == alone && short && limit >= plenty {
		return limits.Sharing{Parts: number, PartLimit: limit, Parted: min(number, 1)}
	}
	return limits.Sharing{}
}

// written is the Sharing after one more write by this process.
func (b *block) written(now instant) limits.Sharing {
	w := b.shared.Sharing
	w.Writes = writesAfter(w, b.passed(now))
	if !b.shared.counted {
		w.Processes++
	}
	return w
}

// refuse refuses requests for more than the block holds for a while, longer each
// time: not all processes that want to can write the document.
func (b *block) refuse(now instant, chance float64) {
	s := b.shared
	s.patience = min(max(leastPatience, 2*s.patience), mostPatience, instant(b.length)*instant(time.Second)/8)
	s.refusing = now + s.patience/2 + instant(chance*float64(s.patience))
	s.turn, s.lost = 0, false
}

// share records what a read of the document says of others: stored is what was
// read, and w is in force. changed: w is not the known window.
func (b *block) share(sent, now instant, s limits.Snapshot, w limits.Window, changed bool) {
	rolls := w.ID() != s.Window.ID()
	cold := changed && w.LastReset-b.lastReset > 2*w.Length.Seconds()
	if before := b.shared; changed && before != nil {
		b.shared = &shared{lost: before.lost, part: part{number: before.part.number, version: before.part.version, common: before.part.common}}
		if rolls && before.rolls { // the same as before, except for the moment of the read
			b.shared.turn, b.shared.drawn = before.turn, before.drawn
		}
	}
	told := w.Sharing
	if rolls {
		longAgo := s.ReadTime.Sub(time.UnixMicro(int64(s.Window.LastReset*1e6))) > 2*s.Window.Length
		told = sharingAfter(s.Window.Sharing, w.Limit, longAgo)
	}
	if b.shared == nil {
		if crowdOf(told) == 0 || s.Version == b.version {
			return // no other process has written it
		}
		b.shared = &shared{}
	}
	sh := b.shared
	sh.read, sh.took, sh.cold = now, now-sent, sh.cold || cold
	sh.Sharing, sh.begin, sh.rolls = told, limits.Sharing{}, rolls
	if rolls {
		sh.Sharing, sh.begin = limits.Sharing{Crowd: told.Crowd}, told
		if told.Crowd == 0 && !sh.lost {
			b.shared = nil
		}
	}
}

// onlyWriter is the Sharing of a window that one process writes, as far as it
// knows. If that is wrong, its write fails.
var onlyWriter = limits.Sharing{Writes: 1, Processes: 1}

// wrote records this process's own write.
func (s *shared) wrote(now limits.Sharing, at instant) {
	s.Sharing, s.begin, s.read = now, limits.Sharing{}, at
	s.counted, s.rolls, s.lost, s.part.tried = true, false, false, 0
	s.turn, s.refusing, s.patience = 0, 0, 0
}

// lose records a lost race: another process has written the document, and it must
// be read. A process that has written the window, and took itself for the only one,
// has not looked since: it tells nothing of how many they are.
func (b *block) lose() {
	b.version = 0
	if b.shared == nil {
		b.shared = &shared{counted: b.count > 0} // by this process's own write
		b.shared.lost = !b.shared.counted
		return
	}
	b.shared.lost, b.shared.turn = true, 0
}
