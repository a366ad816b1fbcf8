package quotatest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/limits"
)

type reset struct {
	key        limits.Key
	generation int64
}

// watch passes on what a Watch tells.
func watch(t *testing.T, store limits.Store) (chan map[string]map[string]any, chan reset) {
	policies, resets := make(chan map[string]map[string]any, 100), make(chan reset, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- store.Watch(ctx, limits.Watcher{
			Reset: func(k limits.Key, generation int64) { resets <- reset{k, generation} },
			Policies: func(documents []limits.PolicyDocument) {
				told := map[string]map[string]any{}
				for _, d := range documents {
					told[d.Name] = d.Fields
				}
				policies <- told
			},
		})
	}()
	t.Cleanup(func() {
		cancel()
		assert.Error(t, <-ended)
	})
	return policies, resets
}

func next[T any](t *testing.T, c chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(Soon):
		t.Fatal("nothing was told")
		panic("unreachable")
	}
}

func watchPolicies(t *testing.T, b Backend) {
	acme := map[string]any{"tenant": "t_acme", "limit": int64(5), "shadow": true, "window": "10s", "odd": 1.5}
	b.SetPolicy("acme", acme)
	policies, _ := watch(t, b.Store)
	require.Equal(t, map[string]map[string]any{"acme": acme}, next(t, policies))
	other := map[string]any{"limit": int64(7)}
	b.SetPolicy("everybody", other)
	require.Equal(t, map[string]map[string]any{"acme": acme, "everybody": other}, next(t, policies))
	b.SetPolicy("acme", nil)
	require.Equal(t, map[string]map[string]any{"everybody": other}, next(t, policies))
	b.SetPolicy("everybody", acme)
	require.Equal(t, map[string]map[string]any{"everybody": acme}, next(t, policies))
	b.SetPolicy("everybody", nil)
	require.Empty(t, next(t, policies))
}

func watchResets(t *testing.T, b Backend) {
	policies, resets := watch(t, b.Other)
	require.Empty(t, next(t, policies), "told at once, even where there are none")
	w, err := limits.Reset(t.Context(), b.Store, key, "alice")
	require.NoError(t, err)
	require.Equal(t, reset{key, w.Generation}, next(t, resets))
	again, err := limits.Reset(t.Context(), b.Store, key, "alice")
	require.NoError(t, err)
	require.Greater(t, again.Generation, w.Generation)
	require.Equal(t, reset{key, again.Generation}, next(t, resets))

	_, late := watch(t, b.Store)
	require.Equal(t, reset{key, again.Generation}, next(t, late))
}
