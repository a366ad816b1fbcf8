package verifier_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// slowReads is a gate that lets every read last so long.
func slowReads(d time.Duration) func(context.Context, []registry.Resource) error {
	return func(context.Context, []registry.Resource) error {
		time.Sleep(d)
		return nil
	}
}

func TestNoCheckWaitsForWhatIsReadAgainBecauseOfItsAge(t *testing.T) {
	const maxAge, threads, rounds = 10 * time.Second, 200, 20
	bubble(t, func(t *testing.T, store *feedStore) {
		v := keeping(t, store, verifier.Options{MaxAge: maxAge})
		for i := range threads {
			claim(t, store, "t_ann", thread(fmt.Sprintf("th_%d", i)))
		}
		time.Sleep(2 * S) // until the feed has told of them
		for i := range threads {
			allowed(t, v, "t_ann", fmt.Sprintf("th_%d", i))
		}
		store.setGate(slowReads(100 * time.Millisecond))
		busiest := 0
		for began := time.Now(); time.Since(began) < rounds*maxAge; time.Sleep(50 * time.Millisecond) {
			before := store.resourcesRead()
			for i := range threads {
				asked := time.Now()
				allowed(t, v, "t_ann", fmt.Sprintf("th_%d", i))
				require.Zero(t, time.Since(asked))
			}
			synctest.Wait()
			busiest = max(busiest, store.resourcesRead()-before)
		}
		require.InDelta(t, threads*(1+rounds), store.resourcesRead(), threads*rounds/9, "a tenth more than one every MaxAge")
		require.Less(t, busiest, threads/2, "what was read at one time is not read at one time for ever")
	})
}

func TestWhatNobodyAsksForIsNotReadAgain(t *testing.T) {
	const maxAge = 10 * time.Second
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{MaxAge: maxAge})
		allowed(t, v, "t_ann", "th_1")
		time.Sleep(maxAge * 8 / 10)
		allowed(t, v, "t_ann", "th_1", "young enough")
		time.Sleep(time.Hour)
		require.Equal(t, 1, store.count())
	})
}

func TestWhatIsReadAgainBecauseOfItsAgeIsBelieved(t *testing.T) {
	const maxAge = 50 * time.Second
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{MaxAge: maxAge})
		allowed(t, v, "t_ann", "th_1")
		watch := v.Watch(t.Context(), thread("th_1"))
		store.SetPlain("thread__th_1", "t_bob", false)
		time.Sleep(maxAge * 96 / 100)
		allowed(t, v, "t_ann", "th_1", "within MaxAge")
		synctest.Wait()
		select {
		case <-watch:
		default:
			t.Fatal("the watch rests on what was contradicted")
		}
		refused(t, v, "t_ann", "th_1")
	})
}

func TestReadingAgainInVainCostsOneReadAndNoCheckItsPlace(t *testing.T) {
	const maxAge = 50 * time.Second
	bubble(t, func(t *testing.T, store *feedStore) {
		v := keeping(t, store, verifier.Options{MaxAge: maxAge, MaxWaiting: 10, MaxReads: 1, Timeout: time.Second})
		for i := range 20 {
			claim(t, store, "t_ann", thread(fmt.Sprintf("th_%d", i)))
			allowed(t, v, "t_ann", fmt.Sprintf("th_%d", i))
		}
		time.Sleep(maxAge * 96 / 100)
		reads := store.count()
		store.setGate(hung)
		for range 3 {
			for i := range 20 {
				allowed(t, v, "t_ann", fmt.Sprintf("th_%d", i))
			}
			synctest.Wait()
		}
		require.Equal(t, reads+1, store.count(), "a tenth of MaxWaiting is for such reads")
		time.Sleep(2 * time.Second)
		for range 3 {
			allowed(t, v, "t_ann", "th_0")
		}
		synctest.Wait()
		require.Equal(t, reads+1, store.count(), "not again and again while the store does not answer")
		store.setGate(nil)
		time.Sleep(maxAge)
		allowed(t, v, "t_ann", "th_0", "read when it is too old")
		require.Equal(t, reads+2, store.count())
	})
}
