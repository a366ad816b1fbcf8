package verifier_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/northstar-engines/realtime-registry/internal/storetest"
	"github.com/northstar-engines/realtime-registry/registry"
	"github.com/northstar-engines/realtime-registry/registry/memregistry"
	"github.com/northstar-engines/realtime-registry/registry/verifier"
)

// restorable is a registry whose database may be restored to what it was.
func restorable(t *testing.T, test func(t *testing.T, living *feedStore, newcomer *memregistry.Store, restore func())) {
	bubble(t, func(t *testing.T, store *feedStore) {
		newcomer := store.Open(memregistry.Options{})
		claim(t, newcomer, "t_ann", thread("th_1"))
		backup := storetest.Outside{DB: store.DB()}.Backup()
		test(t, store, newcomer, func() {
			backup()
			_, _, err := store.Open(memregistry.Options{}).Recover(t.Context())
			require.NoError(t, err)
		})
	})
}

// What was claimed after the backup is nobody's, and no entry of the feed says so when
// another tenant claims it. The ledger has not changed.
func TestWhatARestoreHasTakenAwayIsForgotten(t *testing.T) {
	restorable(t, func(t *testing.T, living *feedStore, newcomer *memregistry.Store, restore func()) {
		v := keeping(t, living, verifier.Options{})
		claim(t, newcomer, "t_ann", thread("th_2"))
		allowed(t, v, "t_ann", "th_1")
		allowed(t, v, "t_ann", "th_2")
		watched := v.Watch(t.Context(), thread("th_2"))
		list := hear(t, v, own("th_1", "th_2"))
		require.Empty(t, list.refused)
		restore()
		claim(t, newcomer, "t_eve", thread("th_2"))
		time.Sleep(S)
		refused(t, v, "t_ann", "th_2")
		allowed(t, v, "t_ann", "th_1")
		requireClosed(t, watched)
		time.Sleep(S)
		news := list.take()
		require.Equal(t, [][]int{{1}}, lostOf(news))
		require.Equal(t, []string{verifier.FeedGap}, reasonsOf(news))
		require.True(t, news[len(news)-1].Certified, "it goes on")
		reads := living.count()
		allowed(t, v, "t_ann", "th_1")
		require.Equal(t, reads, living.count(), "from memory")
	})
}

func requireClosed(t *testing.T, watched <-chan struct{}) {
	t.Helper()
	synctest.Wait()
	select {
	case <-watched:
	default:
		t.Fatal("the watch is open")
	}
}

// The ledger is at position 1 before the restore and after it, with another change.
func TestNoOwnerIsNamedByALedgerThatIsNoMore(t *testing.T) {
	for name, read := range map[string]bool{"with what was kept": false, "with what is read before the next certificate": true} {
		t.Run(name, func(t *testing.T) {
			restorable(t, func(t *testing.T, living *feedStore, newcomer *memregistry.Store, restore func()) {
				v := keeping(t, living, verifier.Options{})
				move(t, newcomer, "t_ann", "t_bob", registry.Resource{})
				time.Sleep(S + time.Nanosecond) // past the moment of a new certificate
				if !read {
					allowed(t, v, "t_bob", "th_1")
				}
				restore()
				move(t, newcomer, "t_eve", "t_dan", registry.Resource{})
				if read {
					allowed(t, v, "t_ann", "th_1")
					refused(t, v, "t_bob", "th_1", "the certificate's ledger says nothing of what was read")
				}
				time.Sleep(S)
				refused(t, v, "t_bob", "th_1")
				allowed(t, v, "t_ann", "th_1")
			})
		})
	}
}

// Nobody has recovered the registry: whatever the ledger says may be wrong.
func TestAnAnswerIsRefusedAsLongAsTheLedgerHasGoneBack(t *testing.T) {
	bubble(t, func(t *testing.T, store *feedStore) {
		claim(t, store, "t_ann", thread("th_1"))
		restore := storetest.Outside{DB: store.DB()}.Backup()
		v := keeping(t, store, verifier.Options{})
		move(t, store, "t_ann", "t_bob", registry.Resource{})
		allowed(t, v, "t_bob", "th_1")
		restore()
		time.Sleep(S + time.Nanosecond)
		for _, tenant := range []string{"t_ann", "t_bob"} {
			err := v.VerifyThreadAccess(t.Context(), tenant, "th_1")
			require.ErrorIs(t, err, registry.ErrUnavailable)
			require.ErrorContains(t, err, "registry-worker recover")
		}
		_, _, err := store.Open(memregistry.Options{}).Recover(t.Context())
		require.NoError(t, err)
		allowed(t, v, "t_ann", "th_1")
		refused(t, v, "t_bob", "th_1")
	})
}
