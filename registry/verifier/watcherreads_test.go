package verifier_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

func TestAPlainSetIsToldWithinMaxAgeAndASecond(t *testing.T) {
	const maxAge = 10 * time.Second
	bubble(t, func(t *testing.T, store *feedStore) {
		for _, id := range numbered(50) {
			claim(t, store, "t_ann", thread(id))
		}
		v := keeping(t, store, verifier.Options{MaxAge: maxAge})
		h := hear(t, v, own(numbered(50)...))
		time.Sleep(time.Minute)
		for n := range 5 {
			h.take()
			store.SetPlain(fmt.Sprintf("thread__th_%d", n), "t_bob", false)
			time.Sleep(maxAge + time.Second)
			require.Equal(t, [][]int{{n}}, lostOf(h.take()))
		}
	})
}

// What is read again because of its age is spread, and costs what a stream costs.
func TestWatchedResourcesAreReadOnceInHalfToAWholeMaxAge(t *testing.T) {
	const maxAge, n = 30 * time.Second, 1000
	bubble(t, func(t *testing.T, store *feedStore) {
		for _, id := range numbered(n) {
			claim(t, store, "t_ann", thread(id))
		}
		v := keeping(t, store, verifier.Options{MaxAge: maxAge})
		hear(t, v, own(numbered(n)...))
		time.Sleep(time.Minute)
		most, all, before := 0, 0, store.resourcesRead()
		for range 60 {
			time.Sleep(time.Second)
			now := store.resourcesRead()
			most, all, before = max(most, now-before), all+now-before, now
		}
		require.InDelta(t, n*60/(0.75*maxAge.Seconds()), all, 0.3*n*60/maxAge.Seconds())
		require.Less(t, most, n/4, "in one second")
	})
}

// One change of what thousands watch is read once or so, and not by each.
func TestManyWatchersOfOneResourceShareWhatIsRead(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		const n = 500
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{})
		var all []*heard
		for range n {
			all = append(all, hear(t, v, own("th_1")))
		}
		store.setGate(func(ctx context.Context, _ []registry.Resource) error { pause(ctx, 50*time.Millisecond); return nil })
		for from, to := range map[string]string{"t_x": "t_y", "t_ann": "t_bob"} {
			reads := store.count()
			moveAt(t, store, time.Now(), from, from, to, thread("th_1"))
			time.Sleep(S)
			require.LessOrEqual(t, store.count()-reads, 16)
		}
		for _, h := range all {
			require.Equal(t, [][]int{{0}}, lostOf(h.take()))
		}
	})
}

func TestWhatIsNotFetchedHoldsNobodyUpAndIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		store.listen = true
		for _, id := range numbered(100) {
			claim(t, store, "t_ann", thread(id))
		}
		v := keeping(t, store, verifier.Options{})
		deaf, _, err := v.WatchAll(t.Context(), own(numbered(100)...))
		require.NoError(t, err)
		defer deaf.Close()
		h := hear(t, v, own(numbered(100)...))
		time.Sleep(S)
		h.take()
		began := time.Now()
		for i := range 100 {
			move(t, store, "t_ann", "t_bob", thread(fmt.Sprintf("th_%d", i)))
			time.Sleep(50 * time.Millisecond)
		}
		require.Len(t, lostOf(h.take()), 100)
		require.Less(t, time.Since(began), time.Minute)
		news, err := deaf.Next(t.Context())
		require.NoError(t, err)
		require.Len(t, news.Lost, 100)
	})
}
