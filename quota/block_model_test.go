package quota

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

// The model: a document, processes that know it by blocks, and everything that
// can go wrong between them. The store's clock, the only true one, is `now`; the
// processes' clocks go as fast, from any beginning. It is the five rules of
// design §7 put to a random search.
type model struct {
	t        *rapid.T
	random   *rand.Rand
	now      time.Time
	document limits.Window
	version  limits.Version
	versions limits.Version
	policy   limits.Policy

	parts     map[int32]*partDocument
	processes []*process
	orphans   []*pending // calls of processes that were killed, still on their way
	admitted  map[WindowID]int64
	limits    map[WindowID]int64
	seen      []limits.Window // every window that was ever stored, in order
	reset     bool            // an operator or the Python service has interfered
}

type process struct {
	block
	spare []spare   // spent units that a request has not needed after all
	began time.Time // of its clock, as the store's clock has it
	call  *pending
}

// partDocument is what a part's document holds.
type partDocument struct {
	window  limits.Window
	version limits.Version
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

// uniform draws from a range without rapid's love of small numbers, which hardly
// ever comes to the last actions of many: what is searched for is far from the
// beginning.
func (m *model) uniform(least, most int) int { return least + m.random.IntN(most-least+1) }

func runModel(t *rapid.T, resets bool) {
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "random"), rapid.Uint64().Draw(t, "random")))
	m := &model{
		t: t, random: random, now: time.UnixMicro(1795441715427782), version: limits.Absent,
		policy:   limits.Policy{Limit: 1 + random.Int64N(60), Window: time.Duration(rapid.IntRange(1, 60).Draw(t, "seconds")) * time.Second},
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
	policy := limits.Policy{Limit: 10, Window: time.Minute}
	read := func(b *block, w limits.Window, at time.Time) {
		b.answered(1, call{kind: load}, answer{sent: 1, snapshot: limits.Snapshot{Window: w, Version: 1, ReadTime: at}}, policy)
	}
	var b block
	read(&b, limits.Window{}, now)
	spent := b.window().ID()
	require.Zero(t, b.refund(spent, 3))
	require.EqualValues(t, 3, b.left)
	for name, w := range map[string]limits.Window{
		"the next window": policy.NewWindow(limits.UnixSeconds(now.Add(time.Minute)), 0),
		"a reset one":     policy.NewWindow(spent.LastReset, 1),
	} {
		next := b
		read(&next, w, now.Add(time.Minute))
		require.EqualValues(t, 4, next.refund(spent, 4), name)
		require.Zero(t, next.left, name)
	}
}
