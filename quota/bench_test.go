package quota_test

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/memquota"
)

// BenchmarkAllow takes units of blocks that were reserved before.
func BenchmarkAllow(b *testing.B) {
	const tenants = 1024
	l, err := quota.New(memquota.New(), quota.Options{Policies: []quota.Policy{{Limit: quota.MaxLimit, Window: 24 * time.Hour}}})
	require.NoError(b, err)
	defer l.Close(context.Background())
	ctx := context.Background()
	var names [tenants]string
	for i := range names {
		names[i] = fmt.Sprintf("t_acme%07d", i)
		_, err := l.AllowN(ctx, names[i], action, quota.MaxLimit/2)
		require.NoError(b, err)
		_, err = l.AllowN(ctx, names[i], action, 1)
		require.NoError(b, err)
	}
	b.Run("one tenant", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = l.Allow(ctx, names[0], action)
		}
	})
	b.Run("one tenant in parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				_, _ = l.Allow(ctx, names[0], action)
			}
		})
	})
	var worker atomic.Int64
	b.Run("many tenants in parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(p *testing.PB) {
			for i := int(worker.Add(1)) * 511; p.Next(); i++ {
				_, _ = l.Allow(ctx, names[i%tenants], action)
			}
		})
	})
}

// forgetful is a store that grants everything and keeps nothing, so that what is
// measured is the limiter's memory alone.
type forgetful struct{ quota.Store }

func (forgetful) Load(context.Context, limits.Key) (limits.Snapshot, error) {
	return limits.Snapshot{Version: limits.Absent, ReadTime: time.Now()}, nil
}

func (forgetful) Save(context.Context, limits.Key, limits.Change) (limits.Receipt, error) {
	return limits.Receipt{Version: 1, CommitTime: time.Now()}, nil
}

func (forgetful) Watch(ctx context.Context, _ limits.Watcher) error { <-ctx.Done(); return ctx.Err() }

// An eighth of what docs/capacity.md says of a million, whose tables are as full.
func TestAnEighthOfAMillionTenantsFitsInto20MB(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has memory of its own")
	}
	tenantsFit(t, 125_000, 20e6)
}

func tenantsFit(t *testing.T, tenants int, bytes uint64) {
	t.Helper()
	// What is in use after a collection depends on how much lay between two of them.
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	before := heap()
	l := limiter(t, forgetful{}, limitOf(100, 24*time.Hour))
	for i := range tenants {
		_, err := l.Allow(t.Context(), "t_acme"+strconv.Itoa(1_000_000+i), action)
		require.NoError(t, err)
	}
	used := heap() - before
	t.Logf("%d tenants: %d MB, %d bytes each", tenants, used/1e6, used/uint64(tenants))
	require.Less(t, used, bytes)
	runtime.KeepAlive(l)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

func TestAllowFromABlockAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	l := limiter(t, memquota.New(), limitOf(quota.MaxLimit, time.Hour))
	allowN(t, l, 1000)
	allow(t, l)
	allow(t, l)
	require.Zero(t, testing.AllocsPerRun(1, func() { _, _ = l.Allow(context.Background(), tenant, action) }))
}
