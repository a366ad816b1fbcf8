// Package quota_test puts the throttle's answer from memory side by side with
// limiters that keep nothing beyond it:
//
//	go test -bench . ./quota
//
// Those others are local to one process and forget at its end; the throttle's
// numbers hold for the requests that a reserved block serves, which at 100 a
// second are 99 of 100.
package quota_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"
	"golang.org/x/time/rate"

	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota"
	"github.com/northstar-engines/realtime-registry/quota/memquota"
)

const action = "chat_send"

// allow decides one request of a tenant.
type allow func(tenant string) (allowed bool)

// contenders make a limiter that never refuses what a benchmark asks.
var contenders = []struct {
	name string
	make func(testing.TB) allow
}{
	{"quota", ours},
	{"x-time-rate-in-a-map", inMap},
	{"sethvargo-go-limiter", sethvargo},
	{"throttled-v2", throttledV2},
}

// ours reserves a large block for each tenant at its first request, so that what
// follows is served from memory.
func ours(tb testing.TB) allow {
	l, err := quota.New(memquota.New(), quota.Options{Policies: []quota.Policy{{Limit: quota.MaxLimit, Window: 24 * time.Hour}}})
	must(tb, err)
	tb.Cleanup(func() { _ = l.Close(context.Background()) })
	ctx := context.Background()
	for i := range tenants {
		_, err := l.AllowN(ctx, names[i], action, quota.MaxLimit/2)
		must(tb, err)
		_, err = l.Allow(ctx, names[i], action)
		must(tb, err)
	}
	return func(tenant string) bool {
		d, _ := l.Allow(ctx, tenant, action)
		return d.Allowed
	}
}

func inMap(testing.TB) allow {
	var mu sync.Mutex
	limiters := map[string]*rate.Limiter{}
	return func(tenant string) bool {
		mu.Lock()
		l, ok := limiters[tenant]
		if !ok {
			l = rate.NewLimiter(1e9, 1e9)
			limiters[tenant] = l
		}
		mu.Unlock()
		return l.Allow()
	}
}

func sethvargo(tb testing.TB) allow {
	store, err := memorystore.New(&memorystore.Config{Tokens: 1 << 62, Interval: 24 * time.Hour})
	must(tb, err)
	tb.Cleanup(func() { _ = store.Close(context.Background()) })
	ctx := context.Background()
	return func(tenant string) bool {
		_, _, _, allowed, _ := store.Take(ctx, tenant)
		return allowed
	}
}

func throttledV2(tb testing.TB) allow {
	store, err := memstore.NewCtx(0)
	must(tb, err)
	l, err := throttled.NewGCRARateLimiterCtx(store, throttled.RateQuota{MaxRate: throttled.PerDuration(1e9, time.Second), MaxBurst: 1e9})
	must(tb, err)
	ctx := context.Background()
	return func(tenant string) bool {
		limited, _, _ := l.RateLimitCtx(ctx, tenant, 1)
		return !limited
	}
}

const tenants = 1024

var names = func() (names [tenants]string) {
	for i := range names {
		names[i] = fmt.Sprintf("t_acme%07d", i)
	}
	return names
}()

func BenchmarkOneTenant(b *testing.B) {
	for _, c := range contenders {
		b.Run(c.name, func(b *testing.B) {
			ask := c.make(b)
			b.ReportAllocs()
			for b.Loop() {
				if !ask(names[0]) {
					b.Fatal("refused")
				}
			}
		})
	}
}

func BenchmarkOneTenantInParallel(b *testing.B) {
	for _, c := range contenders {
		b.Run(c.name, func(b *testing.B) {
			ask := c.make(b)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					ask(names[0])
				}
			})
		})
	}
}

func BenchmarkManyTenantsInParallel(b *testing.B) {
	for _, c := range contenders {
		b.Run(c.name, func(b *testing.B) {
			ask := c.make(b)
			var worker atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for i := int(worker.Add(1)) * 509; p.Next(); i++ {
					ask(names[i%tenants])
				}
			})
		})
	}
}

// BenchmarkMillionTenants reports the heap that a million tenants take, each
// with one request done. The throttle's own numbers are without the memory store,
// which in production is Firestore.
func BenchmarkMillionTenants(b *testing.B) {
	const million = 1_000_000
	for _, c := range contenders {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				ask := allow(nil)
				if c.name == "quota" {
					ask = oursWithoutStore(b)
				} else {
					ask = c.make(b)
				}
				before := heap()
				for i := range million {
					ask(fmt.Sprintf("t_acme%07d", i))
				}
				b.ReportMetric(float64(heap()-before)/million, "B/tenant")
				runtime.KeepAlive(ask)
			}
		})
	}
}

func oursWithoutStore(tb testing.TB) allow {
	l, err := quota.New(grantAll{}, quota.Options{})
	must(tb, err)
	ctx := context.Background()
	return func(tenant string) bool {
		d, _ := l.Allow(ctx, tenant, action)
		return d.Allowed
	}
}

// grantAll is a store that keeps nothing.
type grantAll struct{ quota.Store }

func (grantAll) Load(context.Context, limits.Key) (limits.Snapshot, error) {
	return limits.Snapshot{Version: limits.Absent, ReadTime: time.Now()}, nil
}

func (grantAll) Save(context.Context, limits.Key, limits.Change) (limits.Receipt, error) {
	return limits.Receipt{Version: 1, CommitTime: time.Now()}, nil
}

func (grantAll) Watch(ctx context.Context, _ limits.Watcher) error { <-ctx.Done(); return ctx.Err() }

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

func must(tb testing.TB, err error) {
	if err != nil {
		tb.Fatal(err)
	}
}
