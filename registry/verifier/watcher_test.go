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

// A creation that joins without a notice while the first read is on its way is known
// by no certificate: only a read that was sent later shows it.
func TestAListIsCertifiedByItsOwnReadsAtFirst(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		now := time.Now()
		moveAt(t, store, now.Add(-time.Minute), "m", "t_ann", "t_bob", registry.Resource{})
		createAt(t, store, now, "late", "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{})
		release := make(chan struct{})
		first := holdFirst(release)
		store.setGate(func(ctx context.Context, all []registry.Resource) error {
			began := time.Now()
			err := first(ctx, all)
			if time.Since(began) == 0 { // the second, and those after it
				time.Sleep(S / 2)
			}
			return err
		})
		done := make(chan *heard)
		go func() { done <- hear(t, v, own("th_1")) }()
		synctest.Wait() // the read has seen t_ann, and its answer is on its way
		createAt(t, store, now.Add(-time.Hour), "early", "t_ann", thread("th_1"))
		lost := time.Now()
		time.Sleep(S * 3 / 4) // certificates of what was written later come meanwhile
		close(release)
		h := <-done
		require.Empty(t, h.refused)
		time.Sleep(S)
		for _, n := range h.take() {
			if len(n.Lost) > 0 {
				return
			}
			require.False(t, n.Certified && n.At.Add(-n.Age).After(lost), "certified ahead of what was told: %+v", n)
		}
		t.Error("the loss was never told")
	})
}
