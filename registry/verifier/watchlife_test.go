package verifier_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

func TestAWatchEndsWhenTheFeedCannotBeCertified(t *testing.T) {
	for name, feed := range map[string]func(context.Context) error{"hung": hungFeed, "failing": failingFeed} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, store *feedStore) {
				claim(t, store, "t_ann", thread("th_1"))
				v := keeping(t, store, verifier.Options{})
				done := stream(t, v, "t_ann", "th_1")
				store.set(feed)
				time.Sleep(S / 4)
				require.False(t, closed(done))
				time.Sleep(S + time.Microsecond)
				require.True(t, closed(done))
				require.True(t, closed(v.Watch(t.Context(), thread("th_1"))), "nor can a new one be had")
				require.Zero(t, v.CacheStats().Watches)
				store.set(nil)
				time.Sleep(10 * time.Second)
				stream(t, v, "t_ann", "th_1")
			})
		})
	}
}

func TestAWatchKeepsTheFeedCertifiedWhereNobodyAsks(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{})
		time.Sleep(2 * time.Minute) // idle
		require.True(t, closed(v.Watch(t.Context(), thread("th_1"))), "nothing is certified: it is told, and that wakes")
		time.Sleep(time.Second)
		done := stream(t, v, "t_ann", "th_1")
		time.Sleep(time.Hour)
		require.False(t, closed(done))
		move(t, store, "t_ann", "t_bob", thread("th_1"))
		time.Sleep(S)
		require.True(t, closed(done))
	})
}

func TestRequestsThatComeAndGoDoNotMakeTheFeedBeReadMoreOften(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{})
		before := store.feedReads()
		for range 1000 { // over ten seconds
			ctx, leave := context.WithCancel(t.Context())
			require.False(t, closed(v.Watch(ctx, thread("th_1"))))
			leave()
			time.Sleep(10 * time.Millisecond)
		}
		require.InDelta(t, 10, store.feedReads()-before, 1, "one every MaxStaleness/2")
	})
}

// A watch that begins just when the certifier goes idle keeps it awake.
func TestAWatchThatComesLateIsCertifiedOn(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		v := keeping(t, store, verifier.Options{})
		var done <-chan struct{}
		for last := store.feedReads(); ; time.Sleep(S / 20) {
			if since := store.feedReads(); since == last && time.Since(v.CacheStats().CertifiedSince) > S*3/4 {
				break
			} else {
				last = since
			}
		}
		done = v.Watch(t.Context(), thread("th_1"))
		other := v.Watch(t.Context(), thread("th_2"))
		time.Sleep(time.Minute)
		require.False(t, closed(done))
		require.False(t, closed(other))
	})
}

func TestAWatchLastsNoLongerThanWhatIsKnownWithoutPlainSets(t *testing.T) {
	const maxAge = 30 * time.Second
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{MaxAge: maxAge})
		allowed(t, v, "t_ann", "th_1")
		time.Sleep(maxAge * 2 / 3)
		done := stream(t, v, "t_ann", "th_1") // rests on what was read before
		store.SetPlain("thread__th_1", "t_bob", false)
		time.Sleep(maxAge/3 + S)
		require.True(t, closed(done))
		refused(t, v, "t_ann", "th_1")

		// One that is found out by somebody else's check ends at once.
		done = stream(t, v, "t_bob", "th_1")
		store.SetPlain("thread__th_1", "t_cat", false)
		allowed(t, v, "t_cat", "th_1")
		require.True(t, closed(done))
	})
}

func TestAWatchLastsNoLongerThanMaxAgeAlsoWhereConfirmingReadsAreRare(t *testing.T) {
	const maxAge = 10 * time.Second
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{MaxAge: maxAge, MaxStaleness: time.Hour})
		for range 3 {
			done := stream(t, v, "t_ann", "th_1")
			time.Sleep(maxAge - time.Second)
			require.False(t, closed(done))
			time.Sleep(2*time.Second + 1)
			require.True(t, closed(done))
		}
		require.LessOrEqual(t, store.feedReads(), 3, "and the feed is not read for that")
	})
}

func TestAClosedVerifierEndsItsWatchesAndAnswersNothingFromMemory(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v, err := verifier.New(store, verifier.Options{MaxStaleness: time.Hour})
		require.NoError(t, err)
		synctest.Wait()
		done := stream(t, v, "t_ann", "th_1")
		v.Close()
		require.True(t, closed(done))
		require.True(t, closed(v.Watch(t.Context(), thread("th_1"))))
		require.ErrorIs(t, v.VerifyThreadAccess(t.Context(), "t_ann", "th_1"), registry.ErrUnavailable)
		time.Sleep(2 * time.Hour)
		require.Zero(t, v.CacheStats().Watches)
	})
}

func TestAWatchThatIsReadAgainLivesOn(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{MaxAge: 10 * time.Second})
		done := stream(t, v, "t_ann", "th_1")
		for range 60 {
			time.Sleep(2 * time.Second)
			if closed(done) {
				done = stream(t, v, "t_ann", "th_1")
			}
		}
		require.LessOrEqual(t, store.count(), 12, "one read every MaxAge")
	})
}

func TestAWatchThatNobodyHoldsIsGone(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		v := keeping(t, store, verifier.Options{})
		a, leaveA := context.WithCancel(t.Context())
		b, leaveB := context.WithCancel(t.Context())
		v.Watch(a, thread("th_1"))
		done := v.Watch(b, thread("th_1"))
		require.EqualValues(t, 1, v.CacheStats().Watches)
		leaveA()
		synctest.Wait()
		require.EqualValues(t, 1, v.CacheStats().Watches)
		leaveB()
		synctest.Wait()
		require.Zero(t, v.CacheStats().Watches)
		require.False(t, closed(done))
		require.True(t, closed(v.Watch(t.Context(), thread("/"))), "what breaks the pattern is not watched")
		require.Zero(t, v.CacheStats().Watches)
	})
}

func TestWatchesTakeNoGoroutines(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		v := keeping(t, store, verifier.Options{})
		before := runtime.NumGoroutine()
		for i := range 10_000 {
			v.Watch(t.Context(), thread(fmt.Sprint("th_", i)))
		}
		require.Less(t, runtime.NumGoroutine(), before+100)
	})
}
