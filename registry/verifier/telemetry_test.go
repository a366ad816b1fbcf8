package verifier_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// measured reads metrics as "name{label=value,…}" → count, and the sums of
// histograms.
type measured struct {
	reader *sdkmetric.ManualReader
	counts map[string]int64
	zeros  []string // counters
	sums   map[string]float64
}

func (m *measured) collect(t testing.TB) {
	t.Helper()
	var data metricdata.ResourceMetrics
	require.NoError(t, m.reader.Collect(context.Background(), &data))
	m.counts, m.zeros, m.sums = map[string]int64{}, nil, map[string]float64{}
	for _, scope := range data.ScopeMetrics {
		for _, metric := range scope.Metrics {
			name := strings.TrimPrefix(metric.Name, "registry.verifier.")
			switch d := metric.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					if p.Value == 0 {
						m.zeros = append(m.zeros, name+labels(p.Attributes))
						continue
					}
					m.counts[name+labels(p.Attributes)] = p.Value
				}
			case metricdata.Gauge[int64]:
				for _, p := range d.DataPoints {
					m.counts[name+labels(p.Attributes)] = p.Value
				}
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					m.counts[name+labels(p.Attributes)] = int64(p.Count)
					m.sums[name+labels(p.Attributes)] = p.Sum
				}
			}
		}
	}
}

func labels(set attribute.Set) string {
	return "{" + set.Encoded(attribute.DefaultEncoder()) + "}"
}

func TestEveryCheckIsCountedOnceByWhatBecameOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hang, fail atomic.Bool
		store := newGatedStore(func(ctx context.Context, r []registry.Resource) error {
			switch {
			case hang.Load():
				return hung(ctx, r)
			case fail.Load():
				return registry.ErrUnavailable
			}
			return nil
		})
		claim(t, store, "t_ann", thread("th_1"))
		claim(t, store, "t_ann", thread("th_2"))
		move(t, store, "t_ann", "t_bob", thread("th_2"))
		m := measured{reader: sdkmetric.NewManualReader()}
		v := newVerifier(t, store, verifier.Options{
			MaxReads: 1, MaxWaiting: 5, MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(m.reader)),
		})
		ask := func(times int, tenant string, resource registry.Resource) {
			for range times {
				_ = v.Verify(t.Context(), tenant, resource)
			}
		}
		ask(7, "t_ann", thread("th_1"))
		ask(6, "t_cat", thread("th_1"))
		ask(5, "t_ann", thread("th_2"))
		ask(4, "t_cat", registry.Resource{Kind: registry.Canvas, ID: "cv"})
		ask(3, "T", thread("th_1"))
		ask(2, "t_ann", registry.Resource{Kind: "media", ID: "x"})
		fail.Store(true)
		ask(9, "t_ann", thread("th_1"))
		fail.Store(false)

		hang.Store(true)
		gone, leave := context.WithCancel(t.Context())
		late, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var waiting sync.WaitGroup
		for i := range 10 { // five are shed; of the others two are abandoned and three run late
			ctx := late
			if i < 2 {
				ctx = gone
			}
			waiting.Go(func() { _ = v.Verify(ctx, "t_ann", thread("th_1")) })
			synctest.Wait()
		}
		leave()
		waiting.Wait()
		synctest.Wait()

		m.collect(t)
		require.Equal(t, map[string]int64{
			"check.duration{kind=thread,outcome=allowed}":     7,
			"check.duration{kind=thread,outcome=refused}":     11,
			"check.duration{kind=canvas,outcome=refused}":     4,
			"check.duration{kind=thread,outcome=invalid}":     3,
			"check.duration{kind=other,outcome=invalid}":      2,
			"check.duration{kind=thread,outcome=unavailable}": 12,
			"check.duration{kind=thread,outcome=shed}":        5,
			"check.duration{kind=thread,outcome=abandoned}":   2,
			"refusals{cause=foreign,kind=thread}":             6,
			"refusals{cause=moved_away,kind=thread}":          5,
			"refusals{cause=unregistered,kind=canvas}":        4,
			"read.duration{outcome=ok}":                       22,
			"read.duration{outcome=error}":                    9,
			"read.duration{outcome=abandoned}":                2, // left by all, the one in the read and the one after it
			"read.resources{}":                                33,
		}, m.counts)
	})
}

func TestAMissThatTurnsIntoAHitIsALateArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memregistry.New()
		m := measured{reader: sdkmetric.NewManualReader()}
		provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(m.reader))
		plain := newVerifier(t, store, verifier.Options{MeterProvider: provider})
		patient := newVerifier(t, store, verifier.Options{MeterProvider: provider, MissGrace: grace})

		// Refused twice, there 3 s after the first refusal, asked for after 10 s.
		require.Error(t, plain.VerifyThreadAccess(t.Context(), "t_ann", "refused"))
		time.Sleep(time.Second)
		require.Error(t, plain.VerifyThreadAccess(t.Context(), "t_ann", "refused"))
		time.Sleep(2 * time.Second)
		claim(t, store, "t_ann", thread("refused"))
		time.Sleep(7 * time.Second)
		require.NoError(t, plain.VerifyThreadAccess(t.Context(), "t_ann", "refused"))
		require.NoError(t, plain.VerifyThreadAccess(t.Context(), "t_ann", "refused"), "counted once")

		// Half a second late, within the grace.
		time.AfterFunc(500*time.Millisecond, func() { claim(t, store, "t_ann", thread("bridged")) })
		require.NoError(t, patient.VerifyThreadAccess(t.Context(), "t_ann", "bridged"))

		// Another tenant's, until everything of that tenant moved here.
		claim(t, store, "t_old", thread("moved"))
		require.Error(t, plain.VerifyThreadAccess(t.Context(), "t_new", "moved"))
		time.Sleep(4 * time.Second)
		move(t, store, "t_old", "t_new", registry.Resource{})
		require.NoError(t, plain.VerifyThreadAccess(t.Context(), "t_new", "moved"))

		m.collect(t)
		late := map[string]float64{}
		for name, sum := range m.sums {
			if strings.HasPrefix(name, "late_arrival") {
				require.EqualValues(t, 1, m.counts[name], name)
				late[name] = sum
			}
		}
		require.InDeltaMapValues(t, map[string]float64{
			"late_arrival{bridged=false,cause=unregistered,kind=thread}": 3,
			"late_arrival{bridged=true,cause=unregistered,kind=thread}":  0.5,
			"late_arrival{bridged=false,cause=foreign,kind=thread}":      4,
		}, late, 0.001)
	})
}

func TestEveryWatchThatIsClosedIsCountedByWhy(t *testing.T) {
	const maxAge = 30 * time.Second
	bubble(t, func(t *testing.T, store *feedStore) {
		m := measured{reader: sdkmetric.NewManualReader()}
		v := keeping(t, store, verifier.Options{MaxAge: maxAge, MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(m.reader))})
		n := 0
		// each closes the watches of so many resources, and nothing else
		for why, test := range map[string]struct {
			times int
			end   func(tenant string, ids []string)
		}{
			"changed": {1, func(tenant string, ids []string) {
				move(t, store, tenant, "t_bob", thread(ids[0]))
				time.Sleep(S)
			}},
			"tenant_moved": {3, func(tenant string, _ []string) {
				move(t, store, tenant, "t_bob", registry.Resource{})
				time.Sleep(S)
				move(t, store, "t_bob", tenant, registry.Resource{})
				time.Sleep(S)
			}},
			"aged": {2, func(string, []string) { time.Sleep(maxAge + S) }},
			"plain_set": {1, func(_ string, ids []string) {
				store.SetPlain("thread__"+ids[0], "t_cat", false)
				allowed(t, v, "t_cat", ids[0])
			}},
			"uncertified": {4, func(string, []string) {
				store.set(failingFeed)
				time.Sleep(2 * S)
				store.set(nil)
				time.Sleep(10 * time.Second)
			}},
			"feed_gap": {5, func(string, []string) {
				missed(store, 1)
				time.Sleep(S)
			}},
		} {
			tenant := "t_" + why // one that was moved is watched by other rules
			var ids []string
			var dones []<-chan struct{}
			for range test.times {
				n++
				id := fmt.Sprint("th_", n)
				createAt(t, store, time.Now(), id, tenant, thread(id))
				ids, dones = append(ids, id), append(dones, stream(t, v, tenant, id))
			}
			test.end(tenant, ids)
			for _, done := range dones {
				require.True(t, closed(done), why)
			}
			m.collect(t)
			require.EqualValues(t, test.times, m.counts["watch.ended{reason="+why+"}"], why)
		}
		total := int64(0)
		for name, count := range m.counts {
			if strings.HasPrefix(name, "watch.ended") {
				total += count
			}
		}
		require.EqualValues(t, n, total)
	})
}

func TestCountersOfChecksStartAt0(t *testing.T) {
	m := measured{reader: sdkmetric.NewManualReader()}
	newVerifier(t, memregistry.New(), verifier.Options{
		MaxStaleness: time.Second, MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(m.reader)),
	})
	m.collect(t)
	for _, want := range []string{
		"refusals{cause=unregistered,kind=thread}", "refusals{cause=moved_away,kind=canvas}", "cache.misses{reason=uncertified}",
		"watch.ended{reason=changed}", "read.resources{}", "cache.hits{kind=thread}",
	} {
		require.Contains(t, m.zeros, want)
	}
}
