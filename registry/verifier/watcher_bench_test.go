package verifier_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// BenchmarkWatchedResources watches 100,000 resources by 20 Watchers. It reports what
// a watched resource takes beside its entry in the cache, how long it is from the move
// of a tenant that has 10,000 of them until all is told, and, beside 5,000 changes a
// second of others, the longest time between two certificates of one Watcher
// (MaxStaleness is 2 s).
func BenchmarkWatchedResources(b *testing.B) {
	const watchers, each, moved = 20, 5000, 500 // of each
	for b.Loop() {
		store := memregistry.New()
		v := newVerifier(b, store, verifier.Options{MaxStaleness: S, MaxAge: verifier.Unbounded})
		lists := make([][]verifier.Ownership, watchers)
		var cached []registry.Resource
		for i := range watchers * each {
			tenant := "t_other"
			if i%each < moved {
				tenant = "t_big"
			}
			r := thread(fmt.Sprintf("01890a5d-ac96-774b-bcce-%012d", i))
			createAt(b, store, time.Now(), fmt.Sprint(i), tenant, r)
			lists[i/each] = append(lists[i/each], verifier.Ownership{TenantID: tenant, Resource: r})
			cached = append(cached, r)
		}
		require.Eventually(b, func() bool {
			return v.VerifyAll(b.Context(), "t_big", cached[:1])[0] == nil && v.VerifyCached("t_big", cached[0])
		}, time.Minute, time.Millisecond)
		v.VerifyAll(b.Context(), "t_big", cached)
		v.VerifyAll(b.Context(), "t_other", cached)
		began := time.Now()
		ctx, stop := context.WithCancel(b.Context())
		var open sync.WaitGroup
		told := make(chan time.Duration, watchers)
		gaps := make(chan time.Duration, watchers)
		var all []*verifier.Watcher
		for _, list := range lists {
			w, refused, err := v.WatchAll(ctx, list)
			require.NoError(b, err)
			require.Empty(b, refused)
			all = append(all, w)
		}
		b.ReportMetric(float64(time.Since(began).Nanoseconds())/(watchers*each), "ns-to-watch/resource")
		var at time.Time
		started := make(chan struct{})
		for _, w := range all {
			open.Go(func() { gaps <- followed(ctx, w, started, &at, told) })
		}
		at = time.Now()
		move(b, store, "t_big", "t_bigger", registry.Resource{})
		close(started)
		var slowest time.Duration
		for range watchers {
			slowest = max(slowest, <-told)
		}
		b.ReportMetric(float64(slowest.Milliseconds()), "ms-to-tell-10000")
		for n, until := 0, time.Now().Add(3*S); time.Now().Before(until); n++ {
			for i := range 50 {
				moveAt(b, store, time.Now(), fmt.Sprint(n, "/", i), "t_x", "t_y", thread(fmt.Sprintf("other_%d", (n*50+i)%100_000)))
			}
			time.Sleep(10 * time.Millisecond)
		}
		stop()
		open.Wait()
		var gap time.Duration
		for range watchers {
			gap = max(gap, <-gaps)
		}
		b.ReportMetric(float64(gap.Milliseconds()), "ms-longest-gap")
		before := heap()
		left := 0
		for i, w := range all {
			left += each - moved
			w.Close()
			all[i] = nil
		}
		b.ReportMetric(float64(before-heap())/float64(left), "B/resource")
	}
}

// followed returns the longest time between two certificates.
func followed(ctx context.Context, w *verifier.Watcher, started <-chan struct{}, moved *time.Time, told chan<- time.Duration) (gap time.Duration) {
	<-started
	last := time.Now()
	for {
		news, err := w.Next(ctx)
		if err != nil {
			return max(gap, time.Since(last))
		}
		if len(news.Lost) > 0 {
			told <- time.Since(*moved)
		}
		if news.Certified {
			gap, last = max(gap, time.Since(last)), time.Now()
		}
	}
}
