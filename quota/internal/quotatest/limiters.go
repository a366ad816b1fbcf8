package quotatest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/limits"
	"github.com/northstar-engines/realtime-registry/quota"
)

func limiter(t *testing.T, store limits.Store, limit int64) *quota.Limiter {
	l, err := quota.New(store, quota.Options{Policies: []quota.Policy{{Limit: limit, Window: time.Hour}}, Timeout: Soon})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

func neverMore(t *testing.T, b Backend) {
	const limit = 60
	var group sync.WaitGroup
	var mu sync.Mutex
	admitted := map[limits.WindowID]int{}
	for i := range 4 {
		l := limiter(t, []limits.Store{b.Store, b.Other}[i%2], limit)
		group.Go(func() {
			for range 2 * limit {
				d, err := l.Allow(t.Context(), key.Tenant, key.Action)
				if assert.NoError(t, err) && d.Allowed {
					mu.Lock()
					admitted[d.Window]++
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	require.Len(t, admitted, 1)
	for _, n := range admitted {
		require.Equal(t, limit, n, "all asked for more than there was: nobody's block is left over")
	}
}

// neverMoreInAll asks for several actions, whose windows have more than the
// tenant's total has.
func neverMoreInAll(t *testing.T, b Backend) {
	const each, total = 25, 60
	var group sync.WaitGroup
	var mu sync.Mutex
	admitted, sum := map[string]int{}, 0
	var limiters []*quota.Limiter
	for i := range 4 {
		l, err := quota.New([]limits.Store{b.Store, b.Other}[i%2], quota.Options{Timeout: Soon, Policies: []quota.Policy{
			{Limit: each, Window: time.Hour}, {Action: quota.TotalAction, Limit: total, Window: time.Hour},
		}})
		require.NoError(t, err)
		limiters = append(limiters, l)
		group.Go(func() {
			for j := range total {
				action := []string{"chat_send", "chat_edit", "upload"}[j%3]
				d, err := l.Allow(t.Context(), key.Tenant, action)
				if assert.NoError(t, err) && d.Allowed {
					mu.Lock()
					admitted[action]++
					sum++
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	require.LessOrEqual(t, sum, total)
	require.Greater(t, sum, total/2)
	for _, l := range limiters {
		require.NoError(t, l.Close(t.Context()))
	}
	for action, n := range admitted {
		require.LessOrEqual(t, n, each)
		s, err := b.Store.Load(t.Context(), limits.Key{Tenant: key.Tenant, Action: action})
		require.NoError(t, err)
		require.EqualValues(t, n, s.Window.Count)
	}
	s, err := b.Store.Load(t.Context(), limits.Key{Tenant: key.Tenant, Action: quota.TotalAction})
	require.NoError(t, err)
	require.EqualValues(t, sum, s.Window.Count, "what one of the two windows refused was not counted in the other")
}

func closeReleases(t *testing.T, b Backend) {
	const limit = 100
	first, second := limiter(t, b.Store, limit), limiter(t, b.Other, limit)
	spent := 0
	for range 20 {
		d, err := first.Allow(t.Context(), key.Tenant, key.Action)
		require.NoError(t, err)
		require.True(t, d.Allowed)
		spent++
	}
	require.NoError(t, first.Close(t.Context()))
	s, err := b.Store.Load(t.Context(), key)
	require.NoError(t, err)
	require.EqualValues(t, spent, s.Window.Count, "nothing but what was spent")
	for {
		d, err := second.Allow(t.Context(), key.Tenant, key.Action)
		require.NoError(t, err)
		if !d.Allowed {
			break
		}
		spent++
	}
	require.Equal(t, limit, spent)
}
