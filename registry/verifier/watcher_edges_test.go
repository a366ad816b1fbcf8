package verifier_test

import (
	"context"
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

// The certificate of a new ledger is there for checks before all Watchers have been
// told what it ends. They may not see it before.
func TestALedgerIsNotCertifiedBeforeItsLossesAreTold(t *testing.T) {
	for range 6 { // in half of them the Watcher would be told before what is held up
		t.Run("", testALedgerIsNotCertifiedEarly)
	}
}

func testALedgerIsNotCertifiedEarly(t *testing.T) {
	const staleness = 100 * time.Millisecond
	store := newFeedStore()
	createAt(t, store, time.Now(), "c", "t_ann", thread("th_1"))
	v := newVerifier(t, store, verifier.Options{MaxStaleness: staleness, MaxAge: verifier.Unbounded})
	w, _, err := v.WatchAll(t.Context(), own("th_1"))
	require.NoError(t, err)
	defer w.Close()
	for range 20 {
		news, err := w.Next(t.Context())
		require.NoError(t, err)
		if news.Certified {
			break
		}
	}
	release := sync.OnceFunc(v.HoldUp(thread("th_1")))
	defer release()
	moveAt(t, store, time.Now(), "m", "t_ann", "t_bob", registry.Resource{})
	moved := time.Now()
	require.Eventually(t, func() bool { return v.CacheStats().CertifiedSince.After(moved) }, time.Minute, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 2*staleness)
	defer cancel()
	var lost []int
	for {
		news, err := w.Next(ctx)
		if err != nil {
			break
		}
		lost = append(lost, news.Lost...) // it may be told before what is held up
		require.False(t, news.Certified && news.At.Add(-news.Age).After(moved), "certified ahead of what was told")
	}
	release()
	for len(lost) == 0 {
		news, err := w.Next(t.Context())
		require.NoError(t, err)
		lost = append(lost, news.Lost...)
	}
}

func TestLossesThatHaveToBeReadAreOneEventToo(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		const n = 5000
		now := time.Now()
		for _, id := range numbered(n) {
			createAt(t, store, now, id, "t_ann", thread(id))
		}
		store.setGate(func(ctx context.Context, rs []registry.Resource) error {
			pause(ctx, time.Duration(10+len(rs)%7)*time.Millisecond)
			return nil
		})
		v := keeping(t, store, verifier.Options{CacheEntries: 10})
		h := hear(t, v, own(numbered(n)...))
		moveAt(t, store, now.Add(time.Second), "m", "t_ann", "t_bob", registry.Resource{})
		time.Sleep(S)
		events := lostOf(h.take())
		require.Len(t, events, 1)
		require.Len(t, events[0], n)
	})
}

func TestPlainSetsThatCannotBeReadAgainAreUncertain(t *testing.T) {
	const maxAge = 10 * time.Second
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{MaxAge: maxAge})
		h := hear(t, v, own("th_1"))
		time.Sleep(S)
		store.setGate(hung)
		store.SetPlain("thread__th_1", "t_bob", false)
		set := time.Now()
		time.Sleep(maxAge + time.Second + S + time.Millisecond)
		news := h.take()
		require.Equal(t, []string{verifier.Unverified}, reasonsOf(news))
		for _, n := range news {
			require.False(t, n.Certified && n.At.Add(-n.Age).After(set.Add(maxAge+time.Second)))
		}
	})
}

func TestAPlainSetThatAnotherCheckHasReadIsToldAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{})
		h := hear(t, v, own("th_1"))
		store.SetPlain("thread__th_1", "t_bob", false)
		allowed(t, v, "t_bob", "th_1")
		require.Equal(t, [][]int{{0}}, lostOf(h.take()))
	})
}

func TestAWatcherKeepsTheFeedCertified(t *testing.T) {
	for name, all := range map[string][]verifier.Ownership{"watched": own("th_1"), "all refused": own("missing")} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, store *feedStore) {
				claim(t, store, "t_ann", thread("th_1"))
				v := keeping(t, store, verifier.Options{})
				time.Sleep(2 * time.Minute) // idle
				h := hear(t, v, all)
				began := time.Now()
				time.Sleep(10 * time.Minute)
				require.LessOrEqual(t, gapOf(h.take(), began, time.Now()), S/2)
			})
		})
	}
}

// A watch that begins just when the certifier goes idle keeps it awake.
func TestAWatcherThatComesLateIsCertifiedOn(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{})
		allowed(t, v, "t_ann", "th_1")
		for last := store.feedReads(); ; time.Sleep(S / 20) {
			since := store.feedReads()
			if since == last && time.Since(v.CacheStats().CertifiedSince) > S*3/4 {
				break
			}
			last = since
		}
		h := hear(t, v, own("th_1"))
		began := time.Now()
		time.Sleep(time.Minute)
		news := h.take()
		require.LessOrEqual(t, gapOf(news, began, time.Now()), S/2)
		require.Empty(t, reasonsOf(news))
	})
}

func TestAGraceHoldsNobodyElseUp(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{MissGrace: time.Minute})
		for i := range 20 {
			go func() {
				if w, _, err := v.WatchAll(t.Context(), own(fmt.Sprint("missing", i))); err == nil {
					w.Close()
				}
			}()
		}
		synctest.Wait()
		began := time.Now()
		require.Empty(t, hear(t, v, own("th_1")).refused)
		require.Less(t, time.Since(began), time.Second)
		time.Sleep(2 * time.Minute)
	})
}

// A read that was sent before the cache was lost verifies nothing after it.
func TestAReadFromBeforeTheCacheWasLostIsNotEnough(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		store.listen = true
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{})
		h := hear(t, v, own("th_1"))
		time.Sleep(S)
		h.take()
		first, second := make(chan struct{}), make(chan struct{})
		held := 0
		store.setGate(func(context.Context, []registry.Resource) error {
			held++
			if held == 1 {
				<-first
			} else {
				<-second
			}
			return nil
		})
		moveAt(t, store, time.Now(), "m", "t_x", "t_y", thread("th_1")) // it is looked at again
		synctest.Wait()
		store.mu.Lock()
		store.alter = func(b ownership.FeedBatch) ownership.FeedBatch {
			store.alter = nil
			b.Missed = true
			return b
		}
		store.mu.Unlock()
		time.Sleep(S / 2)
		require.Equal(t, []string{verifier.FeedGap}, reasonsOf(h.take()))
		close(first)
		time.Sleep(S / 4)
		for _, n := range h.take() {
			require.False(t, n.Certified)
		}
		close(second)
		time.Sleep(S / 4)
		news := h.take()
		require.True(t, len(news) > 0 && news[0].Certified)
	})
}
