package verifier_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// heard is what a Watcher has told, with the times at which it did.
type heard struct {
	watcher *verifier.Watcher
	refused []int

	mu   sync.Mutex
	news []verifier.News
}

// own are ownerships of threads of t_ann.
func own(ids ...string) []verifier.Ownership {
	all := make([]verifier.Ownership, len(ids))
	for i, id := range ids {
		all[i] = verifier.Ownership{TenantID: "t_ann", Resource: thread(id)}
	}
	return all
}

func numbered(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprintf("th_%d", i))
	}
	return ids
}

// hear watches, and takes the news until the test ends.
func hear(t *testing.T, v *verifier.Verifier, all []verifier.Ownership) *heard {
	t.Helper()
	w, refused, err := v.WatchAll(t.Context(), all)
	require.NoError(t, err)
	h := &heard{watcher: w, refused: refused}
	go func() {
		for {
			news, err := w.Next(t.Context())
			if err != nil {
				return
			}
			h.mu.Lock()
			h.news = append(h.news, news)
			h.mu.Unlock()
		}
	}()
	t.Cleanup(w.Close)
	return h
}

// take returns what was told since it was called last.
func (h *heard) take() []verifier.News {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	news := h.news
	h.news = nil
	return news
}

func lostOf(news []verifier.News) (events [][]int) {
	for _, n := range news {
		if len(n.Lost) > 0 {
			events = append(events, n.Lost)
		}
	}
	return events
}

func reasonsOf(news []verifier.News) (reasons []string) {
	for _, n := range news {
		if n.Uncertain != "" && (len(reasons) == 0 || reasons[len(reasons)-1] != n.Uncertain) {
			reasons = append(reasons, n.Uncertain)
		}
	}
	return reasons
}

// gapOf returns the longest time between two certificates, or from and to the ends.
func gapOf(news []verifier.News, from, to time.Time) (gap time.Duration) {
	for _, n := range news {
		if n.Certified {
			gap = max(gap, n.At.Sub(from))
			from = n.At
		}
	}
	return max(gap, to.Sub(from))
}

func TestAWatcherRefusesWhatIsMissingOrForeignAndWatchesTheRest(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("hers"))
		claim(t, store, "t_bob", thread("his"))
		v := keeping(t, store, verifier.Options{})
		all := append(own("missing", "hers", "his"), verifier.Ownership{TenantID: "t_bob", Resource: thread("his")})
		h := hear(t, v, all)
		require.Equal(t, []int{0, 2}, h.refused)
		require.EqualValues(t, 2, v.CacheStats().Subscribed)
		move(t, store, "t_bob", "t_ann", thread("his"))
		time.Sleep(S)
		require.Equal(t, [][]int{{3}}, lostOf(h.take()), "what was refused is not watched, though it is owned now")
		h.watcher.Close()
		require.Zero(t, v.CacheStats().Subscribed)
	})
}

func TestWhatIsLostIsNotWatchedAnyMoreThoughItComesBack(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		now := time.Now()
		createAt(t, store, now, "c", "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{})
		h := hear(t, v, own("th_1"))
		moveAt(t, store, now.Add(time.Second), "m", "t_ann", "t_bob", registry.Resource{})
		time.Sleep(S)
		require.Equal(t, [][]int{{0}}, lostOf(h.take()))
		require.Equal(t, ownership.Applied, store.Apply(t.Context(), []ownership.Change{ownership.Retraction(ownership.Version{Source: "test", ID: "m"}, "", "")})[0].Kind)
		allowed(t, v, "t_ann", "th_1")
		moveAt(t, store, now.Add(2*time.Second), "n", "t_ann", "t_bob", thread("th_1"))
		time.Sleep(S)
		require.Empty(t, lostOf(h.take()))
	})
}

func TestAMoveOfAWholeTenantIsOneEventAndReadsNothing(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		const n = 5000
		now := time.Now()
		for _, id := range numbered(n) {
			createAt(t, store, now, id, "t_ann", thread(id))
		}
		createAt(t, store, now, "other", "t_cat", thread("other"))
		v := keeping(t, store, verifier.Options{})
		h := hear(t, v, append(own(numbered(n)...), verifier.Ownership{TenantID: "t_cat", Resource: thread("other")}))
		require.Empty(t, h.refused)
		reads := store.count()
		moveAt(t, store, now.Add(time.Second), "m", "t_ann", "t_bob", registry.Resource{})
		time.Sleep(S)
		events := lostOf(h.take())
		require.Len(t, events, 1)
		require.Len(t, events[0], n)
		require.Equal(t, reads, store.count())
		require.EqualValues(t, 1, v.CacheStats().Subscribed)
	})
}

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

func TestAMoveBetweenTheCheckAndTheWatchIsTold(t *testing.T) {
	for name, r := range map[string]registry.Resource{"of the thread": thread("th_1"), "of the tenant": {}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, store *feedStore) {
				store.listen = true
				createAt(t, store, time.Now(), "c", "t_ann", thread("th_1"))
				v := keeping(t, store, verifier.Options{})
				release := make(chan struct{})
				store.setGate(holdFirst(release))
				done := make(chan *heard)
				go func() { done <- hear(t, v, own("th_1")) }()
				synctest.Wait() // the read has seen t_ann, and its answer is on its way
				move(t, store, "t_ann", "t_bob", r)
				time.Sleep(S / 8)
				close(release)
				h := <-done
				require.Empty(t, h.refused)
				time.Sleep(S)
				for _, n := range h.take() {
					if len(n.Lost) > 0 {
						return
					}
					require.False(t, n.Certified && n.Age < S/8, "certified ahead of what was told: %+v", n)
				}
				t.Error("the loss was never told")
			})
		})
	}
}

func TestTheFirstCheckWaitsForTheGrace(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("there"))
		v := keeping(t, store, verifier.Options{MissGrace: time.Second})
		began := time.Now()
		time.AfterFunc(time.Second/2, func() { claim(t, store, "t_ann", thread("late")) })
		h := hear(t, v, own("there", "late", "never"))
		require.Equal(t, []int{2}, h.refused)
		require.WithinRange(t, time.Now(), began.Add(time.Second), began.Add(time.Second+50*time.Millisecond))
	})
}

func TestAWatchThatCannotBeVerifiedIsUnavailableAndLeavesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		v := keeping(t, store, verifier.Options{})
		store.setGate(func(context.Context, []registry.Resource) error { return registry.ErrUnavailable })
		_, _, err := v.WatchAll(t.Context(), own("th_1"))
		require.ErrorIs(t, err, registry.ErrUnavailable)
		_, _, err = v.WatchAll(t.Context(), append(own("th_1"), verifier.Ownership{TenantID: "T", Resource: thread("x")}))
		require.ErrorIs(t, err, registry.ErrInvalid)
		fault := new(verifier.IndexError)
		require.True(t, errors.As(err, &fault))
		require.Equal(t, 1, fault.Index)
		require.Zero(t, v.CacheStats().Subscribed)
		_, _, err = newVerifier(t, store, verifier.Options{}).WatchAll(t.Context(), own("th_1"))
		require.ErrorIs(t, err, registry.ErrUnavailable)
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
