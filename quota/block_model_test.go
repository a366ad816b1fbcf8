package quota

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The model: a document, processes that know it by blocks, and everything that
// can go wrong between them. The store's clock, the only true one, is `now`; the
// processes' clocks go as fast, from any beginning. It is the five rules of
// design §7 put to a random search.
type model struct {
	t        *rapid.T
	random   *rand.Rand
	now      time.Time
	document Window
	version  Version
	versions Version
	policy   Policy

	parts     map[int32]*partDocument
	processes []*process
	orphans   []*pending // calls of processes that were killed, still on their way
	admitted  map[WindowID]int64
	limits    map[WindowID]int64
	seen      []Window // every window that was ever stored, in order
	reset     bool     // an operator or the Python service has interfered
}

type process struct {
	block
	spare []spare   // spent units that a request has not needed after all
	began time.Time // of its clock, as the store's clock has it
	call  *pending
}

// partDocument is what a part's document holds.
type partDocument struct {
	window  Window
	version Version
}

// pending is a call under way: sent, then perhaps executed, then perhaps
// answered, or lost.
type pending struct {
	call
	sent     instant
	executed bool
	answer   answer
}

type spare struct {
	window WindowID
	units  int32
}

func (m *model) clock(p *process) instant { return instant(m.now.Sub(p.began)) + 1 }

func (m *model) execute(c *pending) {
	c.executed = true
	if c.part != 0 {
		m.executeOfPart(c)
		return
	}
	if c.kind == load {
		c.answer.snapshot = Snapshot{Window: m.document, Version: m.version, ReadTime: m.now}
		return
	}
	if m.version != c.since {
		c.answer.err = ErrConflict
		return
	}
	m.store(c.window)
	c.answer.receipt = Receipt{Version: m.version, CommitTime: m.now}
}

func (m *model) executeOfPart(c *pending) {
	d := m.parts[c.part]
	if d == nil {
		d = &partDocument{version: Absent}
		m.parts[c.part] = d
	}
	switch {
	case c.kind == load:
		c.answer.snapshot = Snapshot{Window: d.window, Version: d.version, ReadTime: m.now}
	case d.version != c.since:
		c.answer.err = ErrConflict
	default:
		require.LessOrEqual(m.t, c.window.Count, c.window.Limit)
		require.GreaterOrEqual(m.t, c.window.LastReset, d.window.LastReset, "a part does not go back to an earlier window")
		m.versions++
		d.window, d.version = c.window, m.versions
		c.answer.receipt = Receipt{Version: d.version, CommitTime: m.now}
	}
}

func (m *model) store(w Window) {
	m.versions++
	m.document, m.version = w, m.versions
	if n := len(m.seen); !m.reset && n > 0 && m.seen[n-1].ID() != w.ID() {
		before := m.seen[n-1]
		require.LessOrEqual(m.t, before.Left(time.UnixMicro(int64(w.LastReset*1e6+0.5))), time.Duration(0), "a window begins when the last one has ended")
	}
	m.seen = append(m.seen, w)
	if limit, ok := m.limits[w.ID()]; ok && !m.reset {
		require.Equal(m.t, limit, w.Limit, "a window keeps its limit")
	}
	m.limits[w.ID()] = max(w.Limit, m.limits[w.ID()])
}

func (m *model) request(p *process) {
	n := int32(rapid.IntRange(1, 3).Draw(m.t, "n"))
	if int64(n) > m.policy.Limit {
		return
	}
	now := m.clock(p)
	switch p.spend(now, n) {
	case granted:
		w := p.window()
		m.admitted[w.ID()] += int64(n)
		require.LessOrEqual(m.t, m.admitted[w.ID()], m.limits[w.ID()], "admitted in window %v", w.ID())
		require.Positive(m.t, w.Left(m.now), "spent before the window's end, by the store's clock")
		if rapid.IntRange(0, 3).Draw(m.t, "refused by the total") == 0 {
			p.spare = append(p.spare, spare{w.ID(), n})
		}
	case unknown, stale:
		if p.call == nil {
			p.adapt(now)
			waiting := n * int32(rapid.IntRange(1, 20).Draw(m.t, "waiting"))
			if c := p.nextFor(now, n, waiting, rapid.Float64Range(0, 0.999).Draw(m.t, "chance")); c.kind <= release {
				p.call = &pending{call: c, sent: now}
				m.checkBlock(p, n)
			}
		}
	}
}

// checkBlock holds a reservation to the bound on what a crash strands.
func (m *model) checkBlock(p *process, n int32) {
	if c := p.call; c.kind == reserve {
		require.Positive(m.t, c.units)
		of := p.unspent() // and not of a part and the window together
		if p.shared != nil && c.part == 0 {
			of -= p.shared.part.free(p.shared.Sharing)
		} else if c.part != 0 {
			of = int64(p.left) + p.shared.part.free(p.shared.Sharing)
		}
		require.LessOrEqual(m.t, int64(p.left+c.units), max(int64(n), of/4))
		require.LessOrEqual(m.t, c.window.Count, c.window.Limit)
	}
}

func (m *model) release(p *process) {
	if p.call != nil {
		return
	}
	now := m.clock(p)
	if c := p.nextRelease(now); c.kind != nothing {
		p.call = &pending{call: c, sent: now}
	}
}

// refund returns what a request has not needed, after any time.
func (m *model) refund(p *process) {
	for _, s := range p.spare {
		if p.block.refund(s.window, s.units) == 0 {
			m.admitted[s.window] -= int64(s.units)
		}
	}
	p.spare = nil
}

// receive applies an answer, or the loss of it.
func (m *model) receive(p *process, lost bool) {
	c := p.call
	if c == nil || !lost && !c.executed {
		return
	}
	if lost {
		if !c.executed {
			m.orphans = append(m.orphans, c)
		}
		c = &pending{call: c.call, answer: answer{err: ErrUnavailable}}
	}
	c.answer.sent = c.sent
	p.answered(m.clock(p), c.call, c.answer, m.policy)
	p.call = nil
}

func (m *model) kill(p *process) {
	if p.call != nil && !p.call.executed {
		m.orphans = append(m.orphans, p.call)
	}
	*p = process{began: m.began()}
}

// began is when a process's clock shows zero: any time of the day.
func (m *model) began() time.Time {
	return m.now.Add(-time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(m.t, "clock")))
}

func (m *model) step(plain bool) {
	p := m.processes[m.uniform(0, len(m.processes)-1)]
	switch m.uniform(0, 25) {
	case 0, 1, 2, 3, 4, 5, 6:
		m.request(p)
	case 7, 8, 9:
		if p.call != nil && !p.call.executed {
			m.execute(p.call)
		}
	case 10, 11, 12:
		m.receive(p, false)
	case 13:
		m.receive(p, true)
	case 14:
		m.now = m.now.Add(time.Duration(rapid.Int64Range(0, int64(m.policy.Window)*5/4).Draw(m.t, "pass")) / time.Microsecond * time.Microsecond)
	case 15:
		m.now = m.now.Add(time.Duration(rapid.IntRange(1, 50).Draw(m.t, "ms")) * time.Millisecond)
	case 16:
		m.release(p)
	case 17:
		m.kill(p)
	case 18:
		if len(m.orphans) > 0 {
			m.execute(m.orphans[0])
			m.orphans = m.orphans[1:]
		}
	case 19:
		m.interfere(plain)
	case 20:
		m.refund(p)
	case 21, 22, 23:
		m.putAside()
	case 24, 25:
		m.oldRelease()
	}
}

// putAside is the write of a process beyond those of the model, which puts units
// aside for parts, or for more of each.
func (m *model) putAside() {
	w := m.document.At(m.now, m.policy)
	number := rapid.Int64Range(1, 3).Draw(m.t, "parts")
	if w.Sharing.Parts > 0 {
		number = w.Sharing.Parts
	}
	each := rapid.Int64Range(1, 5).Draw(m.t, "units of each")
	if m.version == Absent || w.Count+number*each > w.Limit {
		return
	}
	w.Sharing.Writes++
	w.Sharing.Processes = max(w.Sharing.Processes, rapid.Int64Range(1, 10).Draw(m.t, "processes"))
	w.Sharing.Parts, w.Sharing.PartLimit, w.Count = number, w.Sharing.PartLimit+each, w.Count+number*each
	m.store(w)
}

// oldRelease is a process that knows nothing of sharing: it reserves one unit and
// spends it at once. What it does not know it leaves where it is, and a new window
// has a Sharing of another one then, which is none.
func (m *model) oldRelease() {
	w := m.document.At(m.now, m.policy)
	if m.version == Absent || w.Count >= w.Limit {
		return
	}
	w.Count++
	m.store(w)
	m.admitted[w.ID()]++
	require.LessOrEqual(m.t, m.admitted[w.ID()], m.limits[w.ID()], "admitted in window %v, by the older release", w.ID())
}

// interfere changes the policy, resets as an operator does, or writes as the
// Python service does.
func (m *model) interfere(plain bool) {
	m.policy.Limit = rapid.Int64Range(1, 30).Draw(m.t, "limit")
	m.policy.Window = time.Duration(rapid.IntRange(1, 60).Draw(m.t, "seconds")) * time.Second
	if !plain {
		return
	}
	m.reset = true
	w := m.document.reset(m.now)
	w.Length, w.Limit = m.policy.Window, m.policy.Limit
	m.store(w)
	for _, p := range m.processes {
		if p.generation != w.Generation && rapid.Bool().Draw(m.t, "heard") {
			p.forget()
		}
	}
}

// uniform draws from a range without rapid's love of small numbers, which hardly
// ever comes to the last actions of many: what is searched for is far from the
// beginning.
func (m *model) uniform(least, most int) int { return least + m.random.IntN(most-least+1) }

func runModel(t *rapid.T, resets bool) {
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "random"), rapid.Uint64().Draw(t, "random")))
	m := &model{
		t: t, random: random, now: time.UnixMicro(1795441715427782), version: Absent,
		policy:   Policy{Limit: 1 + random.Int64N(60), Window: time.Duration(rapid.IntRange(1, 60).Draw(t, "seconds")) * time.Second},
		admitted: map[WindowID]int64{}, limits: map[WindowID]int64{}, parts: map[int32]*partDocument{},
	}
	for range m.uniform(1, 4) {
		m.processes = append(m.processes, &process{began: m.began()})
	}
	for range m.uniform(1, 300) {
		m.step(resets)
	}
}

func TestNoWindowAdmitsMoreThanItsLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { runModel(t, false) })
}

func TestNoWindowAdmitsMoreThanItsLimitWithResets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { runModel(t, true) })
}

func TestABlockIsAtMostAQuarterOfWhatIsUnspent(t *testing.T) {
	for _, c := range []struct{ first, want, held, unspent, units int64 }{
		{first: 1, want: 1, unspent: 100, units: 1},
		{first: 1, want: 90, unspent: 100, units: 25},
		{first: 1, want: 90, unspent: 7, units: 1},
		{first: 1, want: 90, unspent: 1, units: 1},
		{first: 50, want: 50, unspent: 100, units: 50},
		{first: 50, want: 70, held: 10, unspent: 100, units: 40},
		{first: 3, want: 9, held: 2, unspent: 100, units: 7},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			require.Equal(t, c.units, blockUnits(c.first, c.want, c.held, c.unspent))
		})
	}
}

func TestUnitsOfAnotherWindowAreNotRefunded(t *testing.T) {
	now := time.UnixMicro(1795441715427782)
	policy := Policy{Limit: 10, Window: time.Minute}
	read := func(b *block, w Window, at time.Time) {
		b.answered(1, call{kind: load}, answer{sent: 1, snapshot: Snapshot{Window: w, Version: 1, ReadTime: at}}, policy)
	}
	var b block
	read(&b, Window{}, now)
	spent := b.window().ID()
	require.Zero(t, b.refund(spent, 3))
	require.EqualValues(t, 3, b.left)
	for name, w := range map[string]Window{
		"the next window": policy.window(unixSeconds(now.Add(time.Minute)), 0),
		"a reset one":     policy.window(spent.LastReset, 1),
	} {
		next := b
		read(&next, w, now.Add(time.Minute))
		require.EqualValues(t, 4, next.refund(spent, 4), name)
		require.Zero(t, next.left, name)
	}
}
