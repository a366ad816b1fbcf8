package verifier_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// By the clock, whatever else goes on: also if nothing happens, or too much.
func TestItIsCertifiedAtLeastEveryHalfMaxStaleness(t *testing.T) {
	for name, busy := range map[string]func(*testing.T, *feedStore, int){
		"quiet": func(*testing.T, *feedStore, int) {},
		"others change": func(t *testing.T, store *feedStore, n int) {
			for i := range 50 {
				moveAt(t, store, time.Now(), fmt.Sprint(n, "/", i), "t_x", "t_y", thread(fmt.Sprintf("other_%d", n*50+i)))
			}
		},
		"it changes itself": func(t *testing.T, store *feedStore, n int) {
			moveAt(t, store, time.Now(), fmt.Sprint(n), "t_x", "t_y", thread(fmt.Sprintf("th_%d", n%100)))
		},
		"the ledger changes": func(t *testing.T, store *feedStore, n int) {
			moveAt(t, store, time.Now(), fmt.Sprint(n), fmt.Sprintf("t_%d", n), "t_away", registry.Resource{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, store *feedStore) {
				store.listen = true
				for _, id := range numbered(100) {
					claim(t, store, "t_ann", thread(id))
				}
				store.setGate(func(ctx context.Context, _ []registry.Resource) error { pause(ctx, 20*time.Millisecond); return nil })
				store.slow = 20 * time.Millisecond
				v := keeping(t, store, verifier.Options{})
				time.Sleep(S)
				h := hear(t, v, own(numbered(100)...))
				began := time.Now()
				for n := range 600 { // six seconds
					busy(t, store, n)
					time.Sleep(10 * time.Millisecond)
				}
				news := h.take()
				require.LessOrEqual(t, gapOf(news, began, time.Now()), S/2)
				require.Empty(t, reasonsOf(news))
				require.Empty(t, lostOf(news))
			})
		})
	}
}

func TestNewsOfAQuietWatchAreFew(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{})
		h := hear(t, v, own("th_1"))
		time.Sleep(time.Minute)
		require.LessOrEqual(t, len(h.take()), int(2*time.Minute/(S/2))+1)
	})
}

func TestItIsUncertainWhileTheFeedCannotBeReadAndCertifiedAtOnceAfter(t *testing.T) {
	for name, feed := range map[string]func(context.Context) error{"hung": hungFeed, "failing": failingFeed} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, store *feedStore) {
				for _, id := range []string{"stays", "goes"} {
					claim(t, store, "t_ann", thread(id))
				}
				v := keeping(t, store, verifier.Options{})
				h := hear(t, v, own("stays", "goes"))
				time.Sleep(S)
				h.take()
				reads := store.count()
				store.set(feed)
				time.Sleep(S + time.Millisecond)
				require.Equal(t, []string{verifier.Uncertified}, reasonsOf(h.take()))
				move(t, store, "t_ann", "t_bob", thread("goes"))
				time.Sleep(30 * time.Second)
				news := h.take()
				require.Equal(t, 30*time.Second, gapOf(news, time.Now().Add(-30*time.Second), time.Now()))
				require.Empty(t, lostOf(news))
				store.set(nil)
				time.Sleep(10 * time.Second)
				news = h.take()
				require.Equal(t, [][]int{{1}}, lostOf(news))
				for _, n := range news {
					require.False(t, n.Certified && len(n.Lost) == 0, "what has been certified is not ahead of what was lost")
					if len(n.Lost) > 0 {
						break
					}
				}
				require.True(t, news[len(news)-1].Certified)
				require.LessOrEqual(t, store.count(), reads+1, "nothing but what has changed is read again")
			})
		})
	}
}

func TestAfterTheCacheWasLostAllIsVerifiedBeforeItIsCertified(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		const n = 1200
		for _, id := range numbered(n) {
			claim(t, store, "t_ann", thread(id))
		}
		v := keeping(t, store, verifier.Options{})
		h := hear(t, v, own(numbered(n)...))
		time.Sleep(S)
		h.take()

		store.mu.Lock()
		store.alter = func(b ownership.FeedBatch) ownership.FeedBatch {
			store.alter = nil
			b.Missed = true
			return b
		}
		store.mu.Unlock()
		release := make(chan struct{})
		store.setGate(holdFirst(release))
		time.Sleep(S)
		news := h.take()
		require.Equal(t, []string{verifier.FeedGap}, reasonsOf(news))
		time.Sleep(S)
		require.Equal(t, S, gapOf(h.take(), time.Now().Add(-S), time.Now()), "one list has not been read")
		close(release)
		time.Sleep(S)
		news = h.take()
		require.True(t, news[0].Certified)
	})
}

func TestWhatCannotBeReadAgainIsUncertain(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		claim(t, store, "t_ann", thread("th_2"))
		v := keeping(t, store, verifier.Options{})
		h := hear(t, v, own("th_1", "th_2"))
		time.Sleep(S)
		h.take()
		store.setGate(hung)
		move(t, store, "t_ann", "t_bob", thread("th_1"))
		time.Sleep(2*S + time.Millisecond)
		news := h.take()
		require.Equal(t, []string{verifier.Unverified}, reasonsOf(news))
		require.False(t, news[len(news)-1].Certified)
		store.setGate(nil)
		time.Sleep(10 * time.Second)
		news = h.take()
		require.Equal(t, [][]int{{0}}, lostOf(news))
		require.True(t, news[len(news)-1].Certified)
	})
}
