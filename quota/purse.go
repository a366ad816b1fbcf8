package quota

import (
	"sync/atomic"
	"time"
)

// purse is the units of a block that requests may take without a lock, and what
// their answers say. Its units change and nothing else. Where an entry has a
// purse, the units of its block are in there, and block.left is 0. Code
// that changes the block takes the purse away, and all that is in it, and puts a
// new one there (Limiter.change).
type purse struct {
	lastReset  float64
	generation int64
	deadline   instant
	// units that are left, in the upper half; in the lower one, how many decisions
	// are counted here: at most as many as there were units.
	units  atomic.Uint64
	length int32 // seconds
	limit  int32
	count  int32
	label  uint16 // of the action, see livePolicies
	role   role
}

// takenAway is the units of a purse that was taken away: a negative number.
const takenAway = 0xffffffff << 32

func newPurse(b *block, label uint16, role role) *purse {
	p := &purse{
		lastReset: b.lastReset, generation: b.generation, deadline: b.deadline,
		length: b.length, limit: b.limit, count: b.count, label: label, role: role,
	}
	p.units.Store(uint64(b.left) << 32)
	return p
}

// take takes n units, or none, and counts a decision: those of who do not count
// theirs elsewhere. n is 1 to MaxLimit. left is what remains.
func (p *purse) take(now instant, n int32, decisions uint32) (left int32, ok bool) {
	if now >= p.deadline {
		return 0, false
	}
	for {
		before := p.units.Load()
		left := int32(before>>32) - n
		if left < 0 {
			return 0, false
		}
		if p.units.CompareAndSwap(before, uint64(left)<<32|uint64(uint32(before)+decisions)) {
			return left, true
		}
	}
}

// put puts units back that were taken by a request that is counted no more. Not
// ok: the purse was taken away meanwhile.
func (p *purse) put(n int32, decisions uint32) (ok bool) {
	for {
		before := p.units.Load()
		if int32(before>>32) < 0 {
			return false
		}
		if p.units.CompareAndSwap(before, before+uint64(n)<<32-uint64(decisions)) {
			return true
		}
	}
}

// window is the identity of the purse's window.
func (p *purse) window() WindowID {
	return WindowID{p.lastReset, time.Duration(p.length) * time.Second, p.generation}
}

// granted is block.decision for a request that has taken units. To go by a block
// would take a fifth longer.
func (p *purse) granted(now instant, left int32) (d Decision) {
	d.Allowed = true
	d.Limit = int64(p.limit)
	d.Remaining = int64(left) + max(0, int64(p.limit)-int64(p.count))
	d.ResetAfter = max(0, time.Duration(p.deadline-now))
	d.Length = time.Duration(p.length) * time.Second
	d.Window.LastReset = p.lastReset
	d.Window.Length = d.Length
	d.Window.Generation = p.generation
	return d
}

// left is the units that are left.
func (p *purse) left() int32 { return int32(p.units.Load() >> 32) }

// decisions is how many are counted here.
func (p *purse) decisions() int64 { return int64(uint32(p.units.Load())) }

// current is the block as it is at this moment. It, as all that follows, is
// called with the shard's lock held.
func (e *entry) current() block {
	b := e.block
	if p := e.purse.Load(); p != nil {
		b.left = p.left()
	}
	return b
}

// change changes the block of an entry. Meanwhile requests find no units, and
// wait for the lock.
func (l *Limiter) change(s *shard, e *entry, change func(b *block)) {
	s.takeBack(e)
	change(&e.block)
	if e.left > 0 {
		key, in := e.key(), l.policies.set.Load()
		e.purse.Store(newPurse(&e.block, in.labels[key.Action], in.roleOf(key)))
		e.left = 0
	}
}

// takeBack takes the purse away: nobody can take anything of it any more.
func (s *shard) takeBack(e *entry) {
	p := e.purse.Swap(nil)
	if p == nil {
		return
	}
	units := p.units.Swap(takenAway)
	e.left = int32(units >> 32)
	s.count(p.label, allowed, int64(uint32(units)))
}

// labelOf is the label of an entry's action.
func (l *Limiter) labelOf(e *entry) uint16 { return l.policies.label(e.key().Action) }
