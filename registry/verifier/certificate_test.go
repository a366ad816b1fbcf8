package verifier_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/ownership"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

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
