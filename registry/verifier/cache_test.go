package verifier_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

func TestWhatIsAllowedOnceIsAnsweredFromMemory(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{})
		for range 100 {
			allowed(t, v, "t_ann", "th_1")
			time.Sleep(time.Second)
		}
		require.Equal(t, 1, store.count())
	})
}

// Of such a thread the brief cannot say more than that a move came before its
// latest entry. Its history can: no creation moves the start of a claim back.
func TestWhatWasClaimedAfterItsTenantHadMovedIsAnsweredFromMemory(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_old"))
		move(t, store, "t_ann", "t_bob", registry.Resource{})
		time.Sleep(2 * time.Second) // a move bears a time that is a second ahead
		claim(t, store, "t_ann", thread("th_new"))
		v := keeping(t, store, verifier.Options{})
		for range 100 {
			allowed(t, v, "t_ann", "th_new")
			time.Sleep(time.Second)
		}
		require.Equal(t, 1, store.count())
		move(t, store, "t_ann", "t_cleo", registry.Resource{})
		time.Sleep(S + time.Nanosecond)
		refused(t, v, "t_ann", "th_new")
		allowed(t, v, "t_cleo", "th_new")
		allowed(t, v, "t_bob", "th_old")
	})
}

// A creation by the same tenant may move the start back without a notice.
func TestWhatWasCreatedAfterItsTenantHadMovedIsReadAlways(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		move(t, store, "t_ann", "t_bob", registry.Resource{})
		time.Sleep(2 * time.Second)
		createAt(t, store, time.Now(), "e", "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{})
		for range 3 {
			allowed(t, v, "t_ann", "th_1")
		}
		require.Equal(t, 3, store.count())
	})
}

func TestRefusalsAreNotKept(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		v := keeping(t, store, verifier.Options{})
		refused(t, v, "t_ann", "th_1")
		claim(t, store, "t_ann", thread("th_1"))
		allowed(t, v, "t_ann", "th_1")
		for range 3 {
			refused(t, v, "t_bob", "th_1")
		}
		require.Equal(t, 5, store.count(), "each refusal reads, also where the owner is in memory")
	})
}

func TestWhatIsKeptAnswersForNothingElse(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{})
		allowed(t, v, "t_ann", "th_1")
		for _, kind := range []registry.Kind{"", "t", "text", "Thread", "thread_"} {
			require.ErrorIs(t, v.Verify(t.Context(), "t_ann", registry.Resource{Kind: kind, ID: "th_1"}), registry.ErrInvalid)
		}
		for _, id := range []string{"", "th_", "th_1 ", "th_1t", "th_1t_ann", "Th_1", "1"} {
			require.Error(t, v.VerifyThreadAccess(t.Context(), "t_ann", id), id)
		}
		for _, tenant := range []string{"", "t_", "t_an", "t_ann ", "1t_ann"} {
			require.Error(t, v.VerifyThreadAccess(t.Context(), tenant, "th_1"), tenant)
		}
		require.ErrorIs(t, v.VerifyCanvasAccess(t.Context(), "t_ann", "th_1"), registry.ErrNotFound)
	})
}

func TestMaxStalenessZeroReadsAlways(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := newVerifier(t, store, verifier.Options{})
		for range 5 {
			allowed(t, v, "t_ann", "th_1")
		}
		require.Equal(t, 5, store.count())
		require.Zero(t, store.feedReads())
	})
}

// Without any listener.
func TestAMoveIsSeenWithinMaxStaleness(t *testing.T) {
	for name, moved := range map[string]registry.Resource{"of the resource": thread("th_1"), "of its tenant": {}} {
		t.Run(name, func(t *testing.T) {
			for offset := time.Duration(0); offset < S; offset += S / 7 { // wherever between two reads of the feed
				bubble(t, func(t *testing.T, store *feedStore) {
					claim(t, store, "t_ann", thread("th_1"))
					v := keeping(t, store, verifier.Options{})
					allowed(t, v, "t_ann", "th_1")
					time.Sleep(offset)
					move(t, store, "t_ann", "t_bob", moved)
					allowed(t, v, "t_bob", "th_1", "a refusal by what is in memory is read")
					time.Sleep(S + time.Nanosecond)
					refused(t, v, "t_ann", "th_1")
				})
			}
		})
	}
}

func TestAListenerMakesAMoveSeenAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		store.listen = true
		claim(t, store, "t_ann", thread("th_1"))
		claim(t, store, "t_ann", thread("th_2"))
		v := keeping(t, store, verifier.Options{})
		allowed(t, v, "t_ann", "th_1")
		allowed(t, v, "t_ann", "th_2")
		move(t, store, "t_ann", "t_bob", thread("th_1"))
		synctest.Wait()
		refused(t, v, "t_ann", "th_1")
		move(t, store, "t_ann", "t_bob", registry.Resource{})
		time.Sleep(50 * time.Millisecond) // reads of the feed keep a distance
		refused(t, v, "t_ann", "th_2")
	})
}

// The insert is void: a read that saw the time before a move comes back after
// the feed has told of it.
func TestWhatWasReadBeforeANoticeIsNotKeptAfterIt(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		release := make(chan struct{})
		store.gate = holdFirst(release)
		v := keeping(t, store, verifier.Options{Timeout: time.Hour})
		early := make(chan error, 1)
		go func() { early <- v.VerifyThreadAccess(t.Context(), "t_ann", "th_1") }()
		synctest.Wait()
		move(t, store, "t_ann", "t_bob", thread("th_1"))
		time.Sleep(S) // the feed has been read
		close(release)
		require.NoError(t, <-early, "it began before the move")
		refused(t, v, "t_ann", "th_1")
	})
}

// The same if the whole cache was dropped while the read was out.
func TestWhatWasReadBeforeTheCacheWasDroppedIsNotKept(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		release := make(chan struct{})
		store.gate = holdFirst(release)
		v := keeping(t, store, verifier.Options{Timeout: time.Hour})
		early := make(chan error, 1)
		go func() { early <- v.VerifyThreadAccess(t.Context(), "t_ann", "th_1") }()
		synctest.Wait()
		missed(store, 1)
		move(t, store, "t_ann", "t_bob", thread("th_1"))
		time.Sleep(S)
		close(release)
		require.NoError(t, <-early)
		refused(t, v, "t_ann", "th_1")
	})
}

// missed makes the next n batches tell nothing but that entries are missing.
func missed(store *feedStore, n int) {
	store.mu.Lock()
	defer store.mu.Unlock()
	store.missing = n
}

func TestAFeedThatMissedSomethingDropsEverything(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		claim(t, store, "t_ann", thread("th_2"))
		v := keeping(t, store, verifier.Options{})
		allowed(t, v, "t_ann", "th_1")
		allowed(t, v, "t_ann", "th_2")
		missed(store, 1)
		move(t, store, "t_ann", "t_bob", thread("th_1"))
		time.Sleep(S)
		refused(t, v, "t_ann", "th_1")
		reads := store.count()
		allowed(t, v, "t_ann", "th_2")
		allowed(t, v, "t_ann", "th_2")
		require.Equal(t, reads+1, store.count(), "kept again once read again")
	})
}

func TestWithoutCertificateEveryCheckReads(t *testing.T) {
	for name, feed := range map[string]func(context.Context) error{"hung": hungFeed, "failing": failingFeed} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, store *feedStore) {
				claim(t, store, "t_ann", thread("th_1"))
				v := keeping(t, store, verifier.Options{})
				allowed(t, v, "t_ann", "th_1")
				store.set(feed)
				time.Sleep(2 * S)
				before := store.count()
				for range 5 {
					allowed(t, v, "t_ann", "th_1")
				}
				require.Equal(t, before+5, store.count())
				move(t, store, "t_ann", "t_bob", registry.Resource{})
				refused(t, v, "t_ann", "th_1", "at once: it is read")

				store.set(nil)
				time.Sleep(10 * time.Second)
				allowed(t, v, "t_bob", "th_1")
				before = store.count()
				allowed(t, v, "t_bob", "th_1")
				require.Equal(t, before, store.count(), "certified again, it answers from memory")
			})
		})
	}
}

func TestAReadOfTheFeedThatHangsIsGivenUpWhenItCanCertifyNothing(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{Timeout: time.Hour})
		allowed(t, v, "t_ann", "th_1")
		store.set(hungFeed)
		time.Sleep(S)
		store.set(nil) // the next one would be answered
		time.Sleep(S)
		allowed(t, v, "t_ann", "th_1")
		require.Equal(t, 1, store.count(), "certified again")
	})
}

// After an outage, or a long sleep, there may be much to read.
func TestAReadOfTheFeedMayTakeLongerThanMaxStaleness(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{Timeout: time.Hour})
		allowed(t, v, "t_ann", "th_1")
		store.mu.Lock()
		store.slow = 2 * S // once: what is read next is little
		store.alter = func(b ownership.FeedBatch) ownership.FeedBatch {
			store.mu.Lock()
			defer store.mu.Unlock()
			store.slow = 0
			return b
		}
		store.mu.Unlock()
		time.Sleep(10 * S)
		allowed(t, v, "t_ann", "th_1")
		require.Equal(t, 1, store.count(), "certified again")
	})
}

// A certificate counts from before its read was sent, however late the answer.
func TestACertificateCountsFromBeforeItsReadWasSent(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{Timeout: time.Hour})
		allowed(t, v, "t_ann", "th_1")
		store.mu.Lock()
		store.slow = S * 3 / 4 // what it saw is old when it arrives
		store.mu.Unlock()
		time.Sleep(S/2 + time.Millisecond) // a read has seen what was before the move, and is under way
		move(t, store, "t_ann", "t_bob", registry.Resource{})
		moved := time.Now()
		for time.Since(moved) < 5*S {
			time.Sleep(S / 20)
			if time.Since(moved) > S {
				refused(t, v, "t_ann", "th_1")
			} else {
				_ = v.VerifyThreadAccess(t.Context(), "t_ann", "th_1")
			}
		}
	})
}

func TestAStoreThatIsDownAllowsNobodyAndRefusesNobody(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		var down atomic.Bool
		store.gate = func(context.Context, []registry.Resource) error {
			if down.Load() {
				return registry.ErrUnavailable
			}
			return nil
		}
		v := keeping(t, store, verifier.Options{})
		allowed(t, v, "t_ann", "th_1")
		down.Store(true)
		store.set(failingFeed)
		time.Sleep(S / 2)
		allowed(t, v, "t_ann", "th_1", "within MaxStaleness nobody notices")
		time.Sleep(S)
		for _, tenant := range []string{"t_ann", "t_bob"} {
			err := v.VerifyThreadAccess(t.Context(), tenant, "th_1")
			require.ErrorIs(t, err, registry.ErrUnavailable)
			require.NotErrorIs(t, err, registry.ErrNotFound)
		}
	})
}

// History and ledger are of one time: a ledger that knows more than the history
// would make t_bob the owner of what was t_cat's by then.
func TestAKeptHistoryIsNotFoldedWithALaterLedger(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		now := time.Now()
		createAt(t, store, now, "c1", "t_ann", thread("th_1"))
		createAt(t, store, now, "c2", "t_ann", thread("th_2"))
		v := keeping(t, store, verifier.Options{})
		allowed(t, v, "t_ann", "th_1")
		store.set(hungFeed) // the certificate stands still
		moveAt(t, store, now.Add(time.Second), "m1", "t_ann", "t_cat", thread("th_1"))
		moveAt(t, store, now.Add(2*time.Second), "m2", "t_ann", "t_bob", registry.Resource{})
		allowed(t, v, "t_bob", "th_2", "a read that knows the newer ledger")
		refused(t, v, "t_bob", "th_1", "never was its owner")
		allowed(t, v, "t_cat", "th_1")
	})
}

func TestAHistoryThatWasReadWithALaterLedgerWaitsForTheCertificate(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		now := time.Now()
		createAt(t, store, now, "c1", "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{})
		store.set(hungFeed)
		// t_bob gets what t_ann has, and gives th_1 on: with the old ledger the
		// last step has no effect, and t_ann would be the owner still.
		moveAt(t, store, now.Add(time.Second), "m1", "t_ann", "t_bob", registry.Resource{})
		moveAt(t, store, now.Add(2*time.Second), "m2", "t_bob", "t_cat", thread("th_1"))
		allowed(t, v, "t_cat", "th_1")
		refused(t, v, "t_ann", "th_1")
		store.set(nil)
		time.Sleep(10 * time.Second)
		allowed(t, v, "t_cat", "th_1")
		before := store.count()
		allowed(t, v, "t_cat", "th_1")
		require.Equal(t, before, store.count())
	})
}

// A creation that joins without a notice moves the start back before a move.
func TestAHistoryThatMayBeJoinedQuietlyIsNotReliedOnWhereItMatters(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		now := time.Now()
		moveAt(t, store, now.Add(-time.Minute), "m", "t_ann", "t_bob", registry.Resource{})
		createAt(t, store, now, "late", "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{})
		allowed(t, v, "t_ann", "th_1")
		createAt(t, store, now.Add(-time.Hour), "early", "t_ann", thread("th_1"))
		cursor := ownership.NewFeedCursor(func(entries []ownership.FeedEntry) {
			require.Empty(t, entries, "it joined without a notice")
		})
		cursor.Begin(now.Add(-time.Hour))
		_, err := store.Store.Changes(t.Context(), cursor)
		require.NoError(t, err)
		refused(t, v, "t_ann", "th_1", "the move is after the earlier creation")
		allowed(t, v, "t_bob", "th_1")
	})
}

func TestAPlainSetIsSeenWithinMaxAge(t *testing.T) {
	const maxAge = 30 * time.Second
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{MaxAge: maxAge})
		allowed(t, v, "t_ann", "th_1")
		time.Sleep(maxAge / 2)
		allowed(t, v, "t_ann", "th_1")
		store.SetPlain("thread__th_1", "t_bob", false)
		time.Sleep(maxAge/2 + time.Nanosecond)
		refused(t, v, "t_ann", "th_1", "an answer from memory does not make it younger")
		require.Equal(t, 2, store.count())
	})
}

func TestMaxAgeUnboundedKeepsForAsLongAsTheFeedIsCertified(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{MaxAge: verifier.Unbounded})
		for range 24 * 60 {
			allowed(t, v, "t_ann", "th_1")
			time.Sleep(50 * time.Second)
		}
		require.Equal(t, 1, store.count())
	})
}

func TestWhereNobodyAsksTheFeedIsNotRead(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{})
		allowed(t, v, "t_ann", "th_1")
		time.Sleep(2 * time.Minute)
		idle := store.feedReads()
		require.InDelta(t, 60, idle, 3, "one a second, for a minute")
		time.Sleep(time.Hour)
		require.Equal(t, idle, store.feedReads())

		move(t, store, "t_ann", "t_bob", thread("th_1"))
		refused(t, v, "t_ann", "th_1", "it is read")
		time.Sleep(time.Second)
		allowed(t, v, "t_bob", "th_1")
		before := store.count()
		allowed(t, v, "t_bob", "th_1")
		require.Equal(t, before, store.count())
	})
}

// busy is a store whose listener tells of n changes after a while.
type busy struct {
	*feedStore
	n int
}

func (s *busy) Listen(ctx context.Context, cursor *ownership.FeedCursor, _ func(int64)) error {
	pause(ctx, 2*time.Minute)
	for i := range s.n {
		cursor.Tell(ownership.FeedEntry{ID: fmt.Sprint(i), Resources: []registry.Resource{thread("th_1")}, At: time.Now()})
	}
	<-ctx.Done()
	return ctx.Err()
}

func TestMemoryIsBoundedAlsoWhereNobodyAsksAndMuchChanges(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		v := keeping(t, &busy{store, 170_000}, verifier.Options{})
		time.Sleep(3 * time.Minute)
		require.InDelta(t, 50_000, v.CacheStats().FeedEntries, 50_000)
	})
}

func TestAnEntryThatIsToldTwiceCountsOnce(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		store.listen = true // it is told by the listener, and by reads that overlap
		claim(t, store, "t_ann", thread("th_1"))
		v := keeping(t, store, verifier.Options{})
		move(t, store, "t_ann", "t_bob", thread("th_1"))
		time.Sleep(S)
		for range 10 {
			allowed(t, v, "t_bob", "th_1")
			time.Sleep(S)
		}
		require.Equal(t, 1, store.count())
	})
}

func TestMemoryIsBoundedInEntriesAndBytes(t *testing.T) {
	for name, options := range map[string]verifier.Options{
		"entries": {CacheEntries: 100},
		"bytes":   {CacheBytes: 15_000},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, store *feedStore) {
				v := keeping(t, store, options)
				for i := range 1000 {
					claim(t, store, "t_ann", thread(fmt.Sprint("th_", i)))
					allowed(t, v, "t_ann", fmt.Sprint("th_", i))
				}
				stats := v.CacheStats()
				require.LessOrEqual(t, stats.Entries, int64(150))
				require.GreaterOrEqual(t, stats.Entries, int64(64))
				require.LessOrEqual(t, stats.Bytes, int64(17_000))
				before := store.count()
				allowed(t, v, "t_ann", "th_999")
				require.Equal(t, before, store.count(), "the newest is kept")
			})
		})
	}
}

func TestAStoreWithoutAFeedCannotBeKeptFrom(t *testing.T) {
	store := struct{ ownership.Store }{newFeedStore().Store}
	_, err := verifier.New(store, verifier.Options{MaxStaleness: S})
	require.ErrorContains(t, err, "MaxStaleness")
}
