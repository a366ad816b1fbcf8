package quota

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Requests take units without a lock, and put some of them back, while the block
// is changed again and again: each unit is taken once or is still there, and each
// taking is counted once.
func TestEachUnitIsTakenOnceWhileTheBlockChanges(t *testing.T) {
	l, err := newLimiter(nil, Options{}, func() instant { return 0 })
	require.NoError(t, err)
	s := &l.table.shards[0]
	key := Key{"t_acme", "chat_send"}
	e := l.table.insert(s, 1, key)
	putBack := func(p *purse, n int32) {
		if p.put(n, 1) {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.count(p.label, allowed, -1)
		l.putBackInto(s, e, key, p.window(), n)
	}

	const takers, changes = 4, 2000
	var units, takings atomic.Int64
	var running sync.WaitGroup
	over := make(chan struct{})
	for n := range int32(takers) {
		running.Go(func() {
			for i := 0; ; i++ {
				if p := e.purse.Load(); p != nil {
					switch _, ok := p.take(0, n+1, 1); {
					case ok && i%16 == 0:
						putBack(p, n+1)
					case ok:
						units.Add(int64(n + 1))
						takings.Add(1)
					}
				}
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	claimed := int64(0)
	for i := range changes {
		before := units.Load()
		s.mu.Lock()
		l.change(s, e, func(b *block) {
			b.deadline, b.left = instant(time.Hour), b.left+10
			claimed += 10
		})
		s.mu.Unlock()
		for i%10 == 0 && units.Load() == before { // so that they meet
			time.Sleep(time.Microsecond)
		}
	}
	close(over)
	running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takeBack(e)
	require.Equal(t, claimed, units.Load()+int64(e.left))
	require.Equal(t, takings.Load(), s.tallies[0][allowed])
	require.Nil(t, e.purse.Load())
}

func TestAPurseIsClosedWhenItsWindowMayBeOver(t *testing.T) {
	p := newPurse(&block{deadline: 10, left: 5}, 0, ofOneAction)
	_, ok := p.take(10, 1, 1)
	require.False(t, ok)
	_, ok = p.take(9, 6, 1)
	require.False(t, ok, "all of them, or none")
	left, ok := p.take(9, 5, 1)
	require.True(t, ok)
	require.Zero(t, left)
}

func TestAPurseAnswersAsItsBlockWould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		units := rapid.Int32Range(1, MaxLimit)
		b := block{
			lastReset: rapid.Float64().Draw(t, "last reset"), generation: rapid.Int64().Draw(t, "generation"),
			deadline: instant(rapid.Int64Range(1, 1<<60).Draw(t, "deadline")),
			length:   rapid.Int32Range(1, int32(MaxWindow/time.Second)).Draw(t, "length"),
			limit:    units.Draw(t, "limit"), count: rapid.Int32Min(0).Draw(t, "count"), left: units.Draw(t, "left"),
		}
		now, n := instant(rapid.Int64Range(0, int64(b.deadline)-1).Draw(t, "now")), rapid.Int32Range(1, b.left).Draw(t, "n")
		p := newPurse(&b, 0, ofOneAction)
		left, ok := p.take(now, n, 1)
		require.True(t, ok)
		v := b.spend(now, n)
		require.Equal(t, b.decision(now, v), p.granted(now, left))
	})
}

// What was dropped from memory can be spent by nobody who still knows the entry.
func TestADroppedEntryHasNoUnits(t *testing.T) {
	l, err := newLimiter(nil, Options{}, func() instant { return 0 })
	require.NoError(t, err)
	s := &l.table.shards[0]
	e := l.table.insert(s, 1, Key{"t_acme", "chat_send"})
	l.change(s, e, func(b *block) { b.deadline, b.left = 10, 5 })
	p := e.purse.Load()
	_, ok := p.take(0, 1, 1)
	require.True(t, ok)
	l.table.filter(s, func(*entry) bool { return false })
	_, ok = p.take(0, 1, 1)
	require.False(t, ok)
	require.Equal(t, int64(1), s.tallies[0][allowed], "what it has counted stays")
}

// Requests find their entries without a lock while others are inserted, dropped,
// reset and moved into larger and smaller tables. Whoever is admitted is counted
// once.
func TestRequestsAreCountedOnceWhileTheTableChanges(t *testing.T) {
	var clock atomic.Int64
	l, err := newLimiter(&generous{}, Options{}, func() instant { return instant(clock.Load()) })
	require.NoError(t, err)
	const tenants, requests = 2000, 10_000
	key := func(i int) Key { return Key{fmt.Sprint("t_", i%tenants), "chat_send"} }
	var admitted, running atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		running.Add(1)
		all.Go(func() {
			defer running.Add(-1)
			for i := range requests {
				k := key(i * 7919 / 3) // three in a row
				d, err := l.Allow(context.Background(), k.Tenant, k.Action)
				if err != nil {
					t.Errorf("%s: %v", k, err)
				} else if d.Allowed {
					admitted.Add(1)
				}
			}
		})
	}
	dropped := 0
	for i := 0; running.Load() > 0; i++ {
		clock.Add(int64(20 * time.Second))
		for j := range l.table.shards {
			s := &l.table.shards[j]
			s.mu.Lock()
			before := s.n
			s.mu.Unlock()
			l.sweep(s)
			s.mu.Lock()
			dropped += max(0, before-s.n)
			s.mu.Unlock()
		}
		l.forget(key(i), int64(i+1))
	}
	all.Wait()
	l.land()
	var counted int64
	for j := range l.table.shards {
		s := &l.table.shards[j]
		s.mu.Lock()
		for e := range s.entries() {
			s.takeBack(e)
		}
		for _, tally := range s.tallies {
			counted += tally[allowed]
		}
		s.mu.Unlock()
	}
	require.Equal(t, admitted.Load(), counted)
	require.Greater(t, dropped, 100)
}

// generous is a store that grants every claim.
type generous struct {
	Store
	versions atomic.Int64
}

func (*generous) Load(context.Context, Key) (Snapshot, error) {
	return Snapshot{Version: Absent, ReadTime: time.Now()}, nil
}

func (g *generous) Save(context.Context, Key, Change) (Receipt, error) {
	return Receipt{Version: Version(g.versions.Add(1)), CommitTime: time.Now()}, nil
}
