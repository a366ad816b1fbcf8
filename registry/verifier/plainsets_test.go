package verifier_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// calm is a MaxStaleness with which days pass quickly.
const calm = 20 * time.Second

// sayPlainSets says in the registry whether plain sets are over, and lets verifiers
// read it.
func sayPlainSets(t *testing.T, store *feedStore, over bool) {
	t.Helper()
	changed, err := store.EndPlainSets(t.Context(), over)
	require.NoError(t, err)
	require.True(t, changed)
	time.Sleep(calm)
	synctest.Wait()
}

// ask checks twice a minute for a while, and at its end: a cache that nobody asks
// sleeps.
func ask(t *testing.T, v *verifier.Verifier, during time.Duration) {
	t.Helper()
	for end := time.Now().Add(during); time.Now().Before(end); {
		allowed(t, v, "t_ann", "th_1")
		time.Sleep(min(30*time.Second, time.Until(end)))
	}
	allowed(t, v, "t_ann", "th_1")
}

func TestTheDefaultMaxAgeFollowsTheRegistry(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := newVerifier(t, store, verifier.Options{MaxStaleness: calm})
		synctest.Wait()
		reads := func(after time.Duration) int {
			before := store.count()
			ask(t, v, after)
			return store.count() - before
		}
		require.Equal(t, 1, reads(30*time.Second))
		require.InDelta(t, 20, reads(10*time.Minute), 1, "plain sets go on, unless the registry says another thing")

		sayPlainSets(t, store, true)
		reads(0)
		require.Equal(t, 0, reads(21*time.Hour))
		require.Equal(t, 1, reads(4*time.Hour), "one read a day, by which a program is found that goes on")
		watched := v.Watch(t.Context(), thread("th_1"))
		time.Sleep(time.Hour)
		require.False(t, closed(watched))

		sayPlainSets(t, store, false)
		require.True(t, closed(watched), "it rests on a read of an hour ago")
		reads(0)
		require.InDelta(t, 20, reads(10*time.Minute), 1)
	})
}

func TestAMaxAgeOfOnesOwnDoesNotFollow(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := newVerifier(t, store, verifier.Options{MaxStaleness: calm, MaxAge: time.Minute})
		synctest.Wait()
		sayPlainSets(t, store, true)
		allowed(t, v, "t_ann", "th_1")
		time.Sleep(time.Minute + 1)
		before := store.count()
		allowed(t, v, "t_ann", "th_1")
		require.Equal(t, 1, store.count()-before)
	})
}

// The default costs what docs/capacity.md says: open streams are read again every
// half to whole MaxAge, or not at all.
func TestWatchingReadsNothingOncePlainSetsAreOver(t *testing.T) {
	const streams = 200
	bubble(t, func(t *testing.T, store *feedStore) {
		var all []verifier.Ownership
		for i := range streams {
			id := fmt.Sprint("th_", i)
			claim(t, store, "t_ann", thread(id))
			all = append(all, verifier.Ownership{TenantID: "t_ann", Resource: thread(id)})
		}
		v := newVerifier(t, store, verifier.Options{MaxStaleness: 10 * time.Second})
		synctest.Wait()
		w, refused, err := v.WatchAll(t.Context(), all)
		require.NoError(t, err)
		require.Empty(t, refused)
		defer w.Close()
		// follow takes what there is to tell for a while, as a stream does.
		follow := func(d time.Duration) float64 {
			before := store.resourcesRead()
			for end := time.Now().Add(d); time.Now().Before(end); {
				_, err := w.Next(t.Context())
				require.NoError(t, err)
			}
			return float64(store.resourcesRead()-before) / streams
		}
		follow(time.Minute)
		require.InDelta(t, 10*60/22.5, follow(10*time.Minute), 3, "reads of each in ten minutes")
		_, err = store.EndPlainSets(t.Context(), true)
		require.NoError(t, err)
		follow(time.Minute)
		require.Zero(t, follow(time.Hour))
		_, err = store.EndPlainSets(t.Context(), false)
		require.NoError(t, err)
		follow(time.Minute)
		require.InDelta(t, 10*60/22.5, follow(10*time.Minute), 3)
	})
}

// What one process meets protects the answers of all.
func TestAPlainSetTakesBackThatTheyAreOver(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		store.SetPlain("thread__th_before", "t_ann", false)
		v := newVerifier(t, store, verifier.Options{MaxStaleness: calm})
		synctest.Wait()
		time.Sleep(time.Second)
		sayPlainSets(t, store, true)
		allowed(t, v, "t_ann", "th_before", "one from before takes nothing back")
		ask(t, v, time.Minute)
		store.SetPlain("thread__th_1", "t_bob", false) // which nobody looks at
		store.SetPlain("thread__th_2", "t_bob", false)
		ask(t, v, time.Hour)
		over, err := store.PlainSetsOver(t.Context())
		require.NoError(t, err)
		require.NotZero(t, over)
		allowed(t, v, "t_ann", "th_1", "it is not known yet")

		require.NoError(t, v.VerifyThreadAccess(t.Context(), "t_bob", "th_2")) // a look at the other one
		synctest.Wait()
		over, err = store.PlainSetsOver(t.Context())
		require.NoError(t, err)
		require.Zero(t, over)
		time.Sleep(calm)
		refused(t, v, "t_ann", "th_1")
	})
}
