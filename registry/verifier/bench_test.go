package verifier_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// certified waits until the verifier answers from memory.
func certified(t testing.TB, v *verifier.Verifier) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	require.Eventually(t, func() bool { return !closed(v.Watch(ctx, thread("any"))) }, 10*time.Second, time.Millisecond)
}

// usual ids and tenants, as producers make them.
func usualThread(i int) registry.Resource {
	return thread(fmt.Sprintf("thread_%08x-9f1c-4d7e-8a2b", i))
}
func usualTenant(i int) string { return fmt.Sprintf("t_%08x", i%10_000) }

// filled is a verifier that keeps n resources.
func filled(t testing.TB, n int) (*memregistry.Store, *verifier.Verifier) {
	t.Helper()
	store := memregistry.New()
	v := newVerifier(t, store, verifier.Options{MaxStaleness: time.Minute, MaxAge: verifier.Unbounded})
	certified(t, v)
	for i := range n {
		_, err := store.Claim(t.Context(), usualTenant(i), usualThread(i))
		require.NoError(t, err)
		require.NoError(t, v.Verify(t.Context(), usualTenant(i), usualThread(i)))
	}
	return store, v
}

func TestACheckFromMemoryDoesNotAllocateNorWaitForOtherTenants(t *testing.T) {
	store, v := filled(t, 3)
	r, owner := usualThread(0), usualTenant(0)
	byName, withAll := usualThread(1), usualThread(2)
	move(t, store, usualTenant(1), "t_bob", byName)
	move(t, store, usualTenant(2), "t_cat", registry.Resource{})
	for resource, tenant := range map[registry.Resource]string{r: owner, byName: "t_bob", withAll: "t_cat"} {
		require.Eventually(t, func() bool { return v.Verify(t.Context(), tenant, resource) == nil && v.FromMemory(tenant, resource) },
			10*time.Second, time.Millisecond)
		release := v.HoldRefusals()
		timer := time.AfterFunc(10*time.Second, func() { panic("a check waits for what is shared by all tenants") })
		require.Zero(t, testing.AllocsPerRun(1000, func() {
			if v.Verify(t.Context(), tenant, resource) != nil {
				t.Fail()
			}
		}))
		timer.Stop()
		release()
	}
}

// BenchmarkCheckFromMemory is beside what no check can do without: a look into a
// map, whatever it costs to get so many keys into the processor, and the time.
func BenchmarkCheckFromMemory(b *testing.B) {
	const n = 10_000
	store, v := filled(b, n)
	resources, tenants := make([]registry.Resource, n), make([]string, n)
	for i := range n {
		resources[i], tenants[i] = usualThread(i), usualTenant(i)
	}
	ctx := b.Context()
	move(b, store, tenants[1], "t_bob", registry.Resource{})
	tenants[1] = "t_bob" // nobody else is usualTenant(1), among 10,000
	for v.Verify(ctx, "t_bob", resources[1]) != nil || !v.FromMemory("t_bob", resources[1]) {
		time.Sleep(time.Millisecond)
	}
	b.ReportAllocs()
	b.Run("one resource", func(b *testing.B) {
		for b.Loop() {
			if err := v.Verify(ctx, tenants[0], resources[0]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("one resource in parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := v.Verify(ctx, tenants[0], resources[0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
	b.Run("one that came with its tenant", func(b *testing.B) {
		for b.Loop() {
			if err := v.Verify(ctx, tenants[1], resources[1]); err != nil {
				b.Fatal(err)
			}
		}
	})
	owners := map[registry.Resource]string{}
	for i := range n {
		owners[thread(strings.Clone(resources[i].ID))] = tenants[i] // requests come with texts of their own
	}
	for _, bench := range []struct {
		name  string
		among int
		check func(i int) bool
	}{
		{"1,000 resources", 1000, func(i int) bool { return v.Verify(ctx, tenants[i], resources[i]) == nil }},
		{"10,000 resources", n, func(i int) bool { return v.Verify(ctx, tenants[i], resources[i]) == nil }},
		{"10,000 in a map, and the time", n, func(i int) bool { return owners[resources[i]] == tenants[i] && !time.Now().IsZero() }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i = (i + 7919) % bench.among {
					if !bench.check(i) {
						b.Fatal(resources[i])
					}
				}
			})
		})
	}
}

// BenchmarkAMillionEntries reports what a million kept resources take, and that
// a check among them is as quick. (The store forgets its own: it is not counted.)
func BenchmarkAMillionEntries(b *testing.B) {
	const n = 1_000_000
	store := &forgetful{}
	v := newVerifier(b, store, verifier.Options{MaxStaleness: time.Minute, MaxAge: verifier.Unbounded})
	certified(b, v)
	before := heap()
	for i := range n {
		require.NoError(b, v.Verify(b.Context(), usualTenant(i), usualThread(i)))
	}
	after := heap()
	stats := v.CacheStats()
	i := 0
	for b.Loop() {
		i = (i + 7919) % n
		_ = v.Verify(b.Context(), usualTenant(i), usualThread(i)) // with what it takes to write the names
	}
	b.ReportMetric(float64(after-before)/1e6, "MB")
	b.ReportMetric(float64(stats.Bytes)/1e6, "MB-accounted")
	b.ReportMetric(float64(stats.Entries), "entries")
	runtime.KeepAlive(v)
}

// forgetful is a store in which usualTenant owns everything.
type forgetful struct{ ownership.Store }

func (*forgetful) Read(_ context.Context, resources []registry.Resource) (ownership.Snapshot, error) {
	s := ownership.Snapshot{ReadTime: time.Now()}
	for _, r := range resources {
		var i int
		if _, err := fmt.Sscanf(r.ID, "thread_%x", &i); err != nil {
			return s, err
		}
		entry := ownership.ClaimEntry(usualTenant(i), r, s.ReadTime)
		s.Records = append(s.Records, ownership.Record{Resource: r, History: ownership.History{entry}, UpdateTime: s.ReadTime})
	}
	return s, nil
}

func (*forgetful) Changes(_ context.Context, cursor *ownership.FeedCursor) (ownership.FeedBatch, error) {
	begins := cursor.Floor().IsZero()
	cursor.Advance(time.Now())
	return ownership.FeedBatch{At: time.Now(), Missed: begins}, nil
}

func (*forgetful) Listen(ctx context.Context, _ *ownership.FeedCursor, _ func(int64)) error {
	<-ctx.Done()
	return ctx.Err()
}

// BenchmarkATenantsMoveAmongManyWatches is the time from the move's commit until
// the last of 10,000 of 100,000 watches is told, and what a watch takes.
func BenchmarkATenantsMoveAmongManyWatches(b *testing.B) {
	const watches, affected = 100_000, 10_000
	store := memregistry.New()
	v := newVerifier(b, store, verifier.Options{MaxStaleness: 2 * time.Second, MaxAge: verifier.Unbounded})
	certified(b, v)
	for i := range watches {
		tenant := "t_big"
		if i >= affected {
			tenant = usualTenant(i)
		}
		_, err := store.Claim(b.Context(), tenant, usualThread(i))
		require.NoError(b, err)
		require.NoError(b, v.Verify(b.Context(), tenant, usualThread(i)))
	}
	before := heap()
	dones := make([]<-chan struct{}, watches)
	for i := range watches {
		ctx, cancel := context.WithCancel(b.Context()) // a stream's own
		defer cancel()
		dones[i] = v.Watch(ctx, usualThread(i))
	}
	perWatch := float64(heap()-before) / watches
	from, to := "t_big", "t_bigger"
	for b.Loop() {
		began := time.Now()
		move(b, store, from, to, registry.Resource{})
		for _, done := range dones[:affected] {
			<-done
		}
		b.ReportMetric(float64(time.Since(began).Microseconds())/1000, "ms-until-the-last")
		b.StopTimer()
		for i := range affected {
			require.False(b, closed(dones[affected+i]))
			require.NoError(b, v.Verify(b.Context(), to, usualThread(i)))
			dones[i] = v.Watch(b.Context(), usualThread(i))
		}
		from, to = to, from+"x"
		b.StartTimer()
	}
	b.ReportMetric(perWatch, "B/watch")
}
