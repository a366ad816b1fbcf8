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

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

func TestAnEntryIsOfOneKeyOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.StringMatching("[ab_]{1,4}")
		own := limits.Key{Tenant: part.Draw(t, "tenant"), Action: part.Draw(t, "action")}
		e := &entry{name: own.Tenant + "\x00" + own.Action}
		require.Equal(t, own, e.key())
		cut := rapid.IntRange(0, len(e.name)-1).Draw(t, "cut")
		require.Equal(t, cut == len(own.Tenant), e.is(limits.Key{Tenant: e.name[:cut], Action: e.name[cut+1:]}), "cut elsewhere")
		other := limits.Key{Tenant: part.Draw(t, "other tenant"), Action: part.Draw(t, "other action")}
		require.Equal(t, own == other, e.is(other), "%q %q", own, other)
	})
}

func TestATableFindsWhatWasInsertedAndShrinks(t *testing.T) {
	table := newTable()
	s := &table.shards[0] // all in one
	hash := func(k limits.Key) uint64 { _, hash := table.shard(k); return hash }
	const keys = 5000
	key := func(i int) limits.Key { return limits.Key{Tenant: fmt.Sprintf("t_%d", i), Action: "x"} }
	for i := range keys {
		require.Nil(t, s.findLocked(hash(key(i)), key(i)))
		table.entryLocked(s, hash(key(i)), key(i)).want = int32(i)
	}
	most := len(s.buckets)
	for range 20 {
		table.filterLocked(s, func(e *entry) bool { return e.want%100 == 0 })
	}
	for i := range keys {
		e := s.findLocked(hash(key(i)), key(i))
		require.Equal(t, i%100 == 0, e != nil)
		require.True(t, e == nil || int(e.want) == i)
	}
	require.Equal(t, keys/100, s.n)
	require.Less(t, len(s.buckets), most/16)
	table.filterLocked(s, func(*entry) bool { return false })
	require.Zero(t, s.n)
	require.Empty(t, s.buckets)
}

// Requests take units while blocks are made, dropped and reset. Each that is
// admitted is counted once.
func TestRequestsAreCountedOnceWhileTheTableChanges(t *testing.T) {
	var clock atomic.Int64
	l, err := newLimiter(&generous{}, Options{}, func() instant { return instant(clock.Load()) })
	require.NoError(t, err)
	const tenants, requests = 2000, 10_000
	key := func(i int) limits.Key { return limits.Key{Tenant: fmt.Sprint("t_", i%tenants), Action: "chat_send"} }
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
		for _, tally := range l.table.shards[j].tallies {
			counted += tally[allowed]
		}
	}
	require.Equal(t, admitted.Load(), counted)
	require.Greater(t, dropped, 100)
}

// generous is a store that grants every reservation.
type generous struct {
	Store
	versions atomic.Int64
}

func (*generous) Load(context.Context, limits.Key) (limits.Snapshot, error) {
	return limits.Snapshot{Version: limits.Absent, ReadTime: time.Now()}, nil
}

func (g *generous) Save(context.Context, limits.Key, limits.Change) (limits.Receipt, error) {
	return limits.Receipt{Version: limits.Version(g.versions.Add(1)), CommitTime: time.Now()}, nil
}
