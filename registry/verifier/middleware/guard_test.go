package middleware_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memory"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// blind is a store of whose changes nothing can be learned.
type blind struct{ *memory.Store }

func (blind) Changes(context.Context, time.Time) (registry.FeedBatch, error) {
	return registry.FeedBatch{}, registry.ErrUnavailable
}

func (blind) Listen(ctx context.Context, _ func(registry.Notice)) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestAStreamEndsWithinMaxStaleness(t *testing.T) {
	const bound = time.Second
	for name, test := range map[string]struct {
		open    func(*memory.Store) registry.Store
		options verifier.Options
		within  time.Duration
	}{
		"watched":                 {func(s *memory.Store) registry.Store { return s }, verifier.Options{MaxStaleness: bound}, bound},
		"watched, with a grace":   {func(s *memory.Store) registry.Store { return s }, verifier.Options{MaxStaleness: bound, MissGrace: time.Minute}, bound},
		"it cannot be watched":    {func(s *memory.Store) registry.Store { return blind{s} }, verifier.Options{MaxStaleness: bound}, bound},
		"no cache, so rather 8 s": {func(s *memory.Store) registry.Store { return s }, verifier.Options{}, 8 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			for since := range 10 { // however long it is open by then
				synctest.Test(t, func(t *testing.T) {
					store := memory.New()
					require.NoError(t, registry.New(store).RegisterThread(t.Context(), "t_ann", "th_1"))
					v, err := verifier.New(t.Context(), test.open(store), test.options)
					require.NoError(t, err)
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
					require.Equal(t, registry.Applied, store.Apply(t.Context(), []registry.Change{{Entry: registry.Entry{
						Type: registry.Moved, From: "t_ann", To: "t_bob",
						Version: registry.Version{Time: began.Add(time.Second), Source: "test", ID: "m"},
					}}})[0].Kind)
					require.LessOrEqual(t, (<-ended).Sub(began), test.within)
				})
			}
		})
	}
}
