package verifierhttp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
	"github.com/northstar-engines/realtime-registry/registry/verifier/verifierhttp"
)

// blind is a store of whose changes nothing can be learned.
type blind struct{ *memregistry.Store }

func (blind) Changes(context.Context, *ownership.FeedCursor) (ownership.FeedBatch, error) {
	return ownership.FeedBatch{}, registry.ErrUnavailable
}

func (blind) Listen(ctx context.Context, _ *ownership.FeedCursor, _ func(int64)) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestAStreamEndsWithinMaxStaleness(t *testing.T) {
	const bound = time.Second
	for name, test := range map[string]struct {
		open    func(*memregistry.Store) ownership.Store
		options verifier.Options
		within  time.Duration
	}{
		"watched":                 {func(s *memregistry.Store) ownership.Store { return s }, verifier.Options{MaxStaleness: bound}, bound},
		"watched, with a grace":   {func(s *memregistry.Store) ownership.Store { return s }, verifier.Options{MaxStaleness: bound, MissGrace: time.Minute}, bound},
		"it cannot be watched":    {func(s *memregistry.Store) ownership.Store { return blind{s} }, verifier.Options{MaxStaleness: bound}, bound},
		"no cache, so rather 8 s": {func(s *memregistry.Store) ownership.Store { return s }, verifier.Options{}, 8 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			for since := range 10 { // however long it is open by then
				synctest.Test(t, func(t *testing.T) {
					store := memregistry.New()
					require.NoError(t, registry.New(store).RegisterThread(t.Context(), "t_ann", "th_1"))
					v, err := verifier.New(test.open(store), test.options)
					require.NoError(t, err)
					t.Cleanup(v.Close)
					synctest.Wait()
					ended := make(chan time.Time, 1)
					h := protected(t, v, func(_ http.ResponseWriter, r *http.Request) {
						<-r.Context().Done()
						ended <- time.Now()
					})
					go h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
					synctest.Wait()
					time.Sleep(time.Duration(since*since) * 300 * time.Millisecond)
					began := time.Now()
					require.Equal(t, ownership.Applied, store.Apply(t.Context(), []ownership.Change{{Entry: ownership.Entry{
						Type: ownership.Moved, From: "t_ann", To: "t_bob",
						Version: ownership.Version{Time: began.Add(time.Second), Source: "test", ID: "m"},
					}}})[0].Kind)
					require.LessOrEqual(t, (<-ended).Sub(began), test.within)
				})
			}
		})
	}
}

// unsure is losing while the store does not answer.
type unsure struct{ losing }

func (unsure) Reverify(context.Context, string, registry.Resource) error {
	return registry.ErrUnavailable
}

func TestStreamsThatAreEndedAreCountedByReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := sdkmetric.NewManualReader()
		o := verifierhttp.Options{
			Tenant:        func(*http.Request) string { return "t_ann" },
			Resource:      func(*http.Request) registry.Resource { return registry.Resource{Kind: registry.Thread, ID: "th_1"} },
			MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
		}
		stream := func(v verifierhttp.Verifier, changed losing, times int) {
			protect, err := verifierhttp.New(v, o)
			require.NoError(t, err)
			var all sync.WaitGroup
			for range times {
				all.Go(func() {
					h := protect(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
						select {
						case <-r.Context().Done():
						case <-time.After(time.Hour): // ends by itself
						}
					}))
					h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
				})
			}
			synctest.Wait()
			if changed != nil {
				close(changed)
			}
			all.Wait()
		}
		lost, untold := make(losing), make(losing)
		stream(lost, lost, 3)
		stream(unsure{untold}, untold, 2)
		stream(make(losing), nil, 5)

		var data metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(t.Context(), &data))
		counts := map[string]int64{}
		for _, p := range data.ScopeMetrics[0].Metrics[0].Data.(metricdata.Sum[int64]).DataPoints {
			why, _ := p.Attributes.Value("reason")
			counts[why.AsString()] = p.Value
		}
		require.Equal(t, "registry.middleware.streams.ended", data.ScopeMetrics[0].Metrics[0].Name)
		require.Equal(t, map[string]int64{"ownership_lost": 3, "registry_unavailable": 2}, counts)
	})
}
