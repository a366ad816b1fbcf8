package verifier_test

import (
	"testing"
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

func TestAStoreWithoutAFeedCannotBeKeptFrom(t *testing.T) {
	store := struct{ ownership.Store }{newFeedStore().Store}
	_, err := verifier.New(store, verifier.Options{MaxStaleness: S})
	require.ErrorContains(t, err, "MaxStaleness")
}
