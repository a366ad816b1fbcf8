package verifier_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

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
	requireNotKept(t, func(*feedStore) {})
}

// The same if the whole cache was dropped while the read was out.
func TestWhatWasReadBeforeTheCacheWasDroppedIsNotKept(t *testing.T) {
	requireNotKept(t, func(store *feedStore) { missed(store, 1) })
}

// requireNotKept has a read begin before a move and come back after the feed has been
// read, of which upset says what happens to it meanwhile.
func requireNotKept(t *testing.T, upset func(*feedStore)) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		release := make(chan struct{})
		store.gate = holdFirst(release)
		v := keeping(t, store, verifier.Options{Timeout: time.Hour})
		early := make(chan error, 1)
		go func() { early <- v.VerifyThreadAccess(t.Context(), "t_ann", "th_1") }()
		synctest.Wait()
		upset(store)
		move(t, store, "t_ann", "t_bob", thread("th_1"))
		time.Sleep(S) // the feed has been read
		close(release)
		require.NoError(t, <-early, "it began before the move")
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
